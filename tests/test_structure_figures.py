"""The packages stay easy to find one's way in: short files and functions, no name twice, no cycles, no step back."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from benchmarks.structure import PACKAGES, ROOT, Structure, measure

MOST_FILES, MOST_FUNCTION_LINES, MOST_FILE_LINES = 14, 60, 300


@pytest.fixture(scope="module")
def structure() -> Structure:
    return measure(ROOT)


def test_folders_functions_and_files_are_short(structure: Structure) -> None:
    assert structure.folder[0] <= MOST_FILES, structure.folder
    assert structure.function[0] <= MOST_FUNCTION_LINES, structure.function
    assert structure.file[0] <= MOST_FILE_LINES, structure.file


def test_no_two_classes_of_one_name(structure: Structure) -> None:
    assert structure.names_twice == ()


def test_the_route_of_an_upload_is_not_returned_to(structure: Structure) -> None:
    assert structure.steps_back == 0


def modules() -> dict[str, ast.Module]:
    found = {}
    for package in PACKAGES:
        base = ROOT / package
        for path in sorted(base.rglob("*.py")):
            if "migrations" not in path.parts:
                name = ".".join((base.name, *path.relative_to(base).with_suffix("").parts)).removesuffix(".__init__")
                found[name] = ast.parse(path.read_text())
    return found


def imports(name: str, tree: ast.Module, known: set[str]) -> set[str]:
    """What a module imports as it is itself imported."""
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for each in node.names:
                inner = f"{node.module}.{each.name}"
                found.add(inner if inner in known else node.module)
    return (found & known) - {name}


def test_imports_have_no_cycles() -> None:
    trees = modules()
    edges = {name: imports(name, tree, set(trees)) for name, tree in trees.items()}
    while leaves := {name for name, needs in edges.items() if not needs}:
        edges = {name: needs - leaves for name, needs in edges.items() if name not in leaves}
    assert sorted(edges) == []


def test_rooms_have_no_cycles() -> None:
    """Inside each package of a package, however late a function imports."""
    trees = modules()
    edges: dict[str, dict[str, set[str]]] = {}
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                for target in {node.module, *(f"{node.module}.{each.name}" for each in node.names)} & set(trees):
                    ours, theirs = name.split("."), target.split(".")
                    shared = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), None)
                    if not shared:  # another root package
                        continue
                    package = ".".join(ours[:shared])
                    if len(ours) > shared + 1 or len(theirs) > shared + 1:  # a folder is among them
                        edges.setdefault(package, {}).setdefault(ours[shared], set()).add(theirs[shared])
    for package, needs in edges.items():
        while leaves := {each for each in set(needs) | set().union(*needs.values()) if not needs.get(each)}:
            pruned = {each: wants - leaves for each, wants in needs.items() if each not in leaves}
            if pruned == needs:
                break
            needs = pruned
        assert needs == {}, package


def test_a_tree_is_measured_as_it_is(tmp_path: Path) -> None:
    for package in PACKAGES:
        (tmp_path / package).mkdir(parents=True)
    (tmp_path / "README.md").write_text("12345")
    (tmp_path / "cryptml" / "one.py").write_text("class Twice:\n    pass\n\n\nclass _Own:\n    pass\n")
    body = "\n".join("    x = 1" for _ in range(70))
    (tmp_path / "client/cryptml_client/two.py").write_text(f"class Twice:\n    pass\n\n\ndef long():\n{body}\n")
    (tmp_path / "server/cryptml_server/evaluation_keys.py").write_text(
        "@router.put('/{digest}')\n"
        "async def put_keys(store, uploads, pool):\n"
        "    await in_thread(store.holds)\n"
        "    async with uploads.whole() as upload:\n"
        "        await keep(upload)\n\n\n"
        "async def keep(upload):\n"
        "    await pool.check_keys(upload)\n"
        "    await in_thread(store.keep, upload)\n"
    )
    structure = measure(tmp_path)
    assert (structure.function[0], structure.file[0], structure.readme) == (71, 75, 5)
    assert (structure.names_twice, structure.steps_back, structure.folder[0]) == (("Twice",), 4, 1)
