"""How the repository is kept: the fullest folder, the longest function and file, names used twice, an upload's way, side by side.

``python -m benchmarks.house`` measures the working tree; ``--before REVISION`` a commit beside it.
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import sys
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptml.cli.console import out
from cryptml.reports.table import plain_table

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("cryptml", "server/cryptml_server", "client/cryptml_client")
UPLOADS = ("put_keys", "keep")
"""The route that receives evaluation keys, and what it had to itself once."""

PARTS = frozenset({"store", "uploads", "pool", "keys"})
"""What a route asks, by the names that it has for them."""


@dataclass(frozen=True)
class House:
    """Figures of one tree.

    Attributes:
        folder: Files of Python in the fullest folder of a package.
        function: Lines of the longest function of a package, decorators apart.
        file: Lines of the longest file of a package.
        readme: Bytes of README.md.
        steps_back: Times that the route of an upload is returned to before it has all it needs.
        names_twice: Public classes whose name another class of the packages has.
    """

    folder: tuple[int, str]
    function: tuple[int, str]
    file: tuple[int, str]
    readme: int
    steps_back: int
    names_twice: tuple[str, ...]


def measure(root: Path) -> House:
    """Return the figures of a tree."""
    trees = {path.relative_to(root): ast.parse(path.read_text()) for path in _files(root)}
    folders = Counter(str(path.parent) for path in trees)
    functions = [
        ((node.end_lineno or node.lineno) - node.lineno + 1, f"{path}: {node.name}")
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    files = [(len((root / path).read_text().splitlines()), str(path)) for path in trees]
    return House(
        folder=max((count, folder) for folder, count in folders.items()),
        function=max(functions),
        file=max(files),
        readme=(root / "README.md").stat().st_size,
        steps_back=_steps_back(trees),
        names_twice=_names_twice(trees),
    )


def _files(root: Path) -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((root / package).rglob("*.py"))


def _names_twice(trees: Mapping[Path, ast.Module]) -> tuple[str, ...]:
    places: defaultdict[str, list[Path]] = defaultdict(list)
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path)
    return tuple(sorted(name for name, found in places.items() if len(found) > 1))


def _steps_back(trees: Mapping[Path, ast.Module]) -> int:
    """Count the calls of parts in the route of an upload, and the ends of what they opened, but for the first one."""
    (tree,) = (tree for path, tree in trees.items() if path.name == "evaluation_keys.py")
    calls = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef) and node.name in UPLOADS:
            calls += sum(_asks_part(each) for each in ast.walk(node))
            calls += sum(isinstance(each, ast.AsyncWith) for each in ast.walk(node))
    return calls - 1


def _asks_part(node: ast.AST) -> bool:
    """Whether an expression is a method of a part: called, or handed to what calls it."""
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in PARTS
        and isinstance(node.ctx, ast.Load)
    )


def at_revision(revision: str) -> House:
    """Return the figures of a commit."""
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True).stdout
    with TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
        return measure(Path(folder))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", metavar="REVISION", help="a commit to measure beside the working tree")
    arguments = parser.parse_args()
    houses = [] if arguments.before is None else [at_revision(arguments.before)]
    houses.append(measure(ROOT))
    rows = [
        ("files in the fullest folder", *(f"{each.folder[0]} ({each.folder[1]})" for each in houses)),
        ("lines of the longest function", *(f"{each.function[0]} ({each.function[1]})" for each in houses)),
        ("lines of the longest file", *(f"{each.file[0]} ({each.file[1]})" for each in houses)),
        ("bytes of README.md", *(f"{each.readme:,}" for each in houses)),
        ("steps back of an upload", *(str(each.steps_back) for each in houses)),
        ("class names used twice", *(f"{len(each.names_twice)}" for each in houses)),
    ]
    heads = ["what", *([] if arguments.before is None else [arguments.before]), "working tree"]
    out.print(plain_table("The house", [(head, "left") for head in heads], rows))
    sys.stdout.write(f"used twice: {', '.join(houses[-1].names_twice) or 'none'}\n")


if __name__ == "__main__":
    main()
