"""How the packages are kept: the fullest folder, the longest function and file, names used twice, an upload's way, side by side.

``python -m benchmarks.structure`` measures the working tree; ``--before REVISION`` a commit beside it; ``--times`` runs ``make check``
and ``make test``, half an hour, and prints their seconds too.
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import sys
import tarfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptml.cli.console import out
from cryptml.reports.table import plain_table

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("cryptml", "server/cryptml_server", "client/cryptml_client")


@dataclass(frozen=True)
class Structure:
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


def measure(root: Path) -> Structure:
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
    return Structure(
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
    """Count what the PUT of evaluation keys waits for, and what it opens and closes, but for the first: each is a step back to it."""
    (tree,) = (tree for path, tree in trees.items() if path.name == "evaluation_keys.py")
    local = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}
    return sum(_waits(node, local) for node in local.values() if any(map(_is_put, node.decorator_list))) - 1


def _is_put(decorator: ast.expr) -> bool:
    return (
        isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute) and decorator.func.attr == "put"
    )


def _waits(function: ast.AsyncFunctionDef, local: Mapping[str, ast.AsyncFunctionDef]) -> int:
    count = 0
    for node in ast.walk(function):
        if isinstance(node, ast.AsyncWith):
            count += 2
        elif isinstance(node, ast.Await):
            called = node.value.func if isinstance(node.value, ast.Call) else None
            inner = local.get(called.id) if isinstance(called, ast.Name) else None
            count += 1 if inner is None else _waits(inner, local)
    return count


def at_revision(revision: str) -> Structure:
    """Return the figures of a commit."""
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True).stdout
    with TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
        return measure(Path(folder))


def seconds(target: str) -> float:
    """Return how long a target of the Makefile takes; its output goes to this program's standard error.

    Raises:
        CalledProcessError: If it fails.
    """
    started = time.monotonic()
    subprocess.run(["make", target], cwd=ROOT, stdout=sys.stderr, check=True)
    return time.monotonic() - started


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", metavar="REVISION", help="a commit to measure beside the working tree")
    parser.add_argument("--times", action="store_true", help="run make check and make test, and print their seconds")
    arguments = parser.parse_args()
    trees_measured = [] if arguments.before is None else [at_revision(arguments.before)]
    trees_measured.append(measure(ROOT))
    rows = [
        ("files in the fullest folder", *(f"{each.folder[0]} ({each.folder[1]})" for each in trees_measured)),
        ("lines of the longest function", *(f"{each.function[0]} ({each.function[1]})" for each in trees_measured)),
        ("lines of the longest file", *(f"{each.file[0]} ({each.file[1]})" for each in trees_measured)),
        ("bytes of README.md", *(f"{each.readme:,}" for each in trees_measured)),
        ("steps back of an upload", *(str(each.steps_back) for each in trees_measured)),
        ("class names used twice", *(f"{len(each.names_twice)}" for each in trees_measured)),
    ]
    if arguments.times:
        unknown = [] if arguments.before is None else ["-"]
        rows += [(f"seconds of make {each}", *unknown, f"{seconds(each):.0f}") for each in ("check", "test")]
    heads = ["what", *([] if arguments.before is None else [arguments.before]), "working tree"]
    out.print(plain_table("Structure of the packages", [(head, "left") for head in heads], rows))
    sys.stdout.write(f"used twice: {', '.join(trees_measured[-1].names_twice) or 'none'}\n")


if __name__ == "__main__":
    main()
