"""What is imported is declared, what is declared is imported, and every declaration has an end."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = {"cryptml", "cryptml_server", "cryptml_client"}

NAMED_OTHERWISE = {
    "PIL": "pillow",
    "concrete": "concrete-python",
    "concrete.ml": "concrete-ml",
    "pythonjsonlogger": "python-json-logger",
    "sklearn": "scikit-learn",
}
"""Modules whose distribution has another name; the longest that fits counts."""

NEVER_IMPORTED = {
    "python-gdcm": "pydicom imports it, for compressed pixels",
    "psycopg": "SQLAlchemy imports it, for an address postgresql+psycopg://",
    "s3fs": "fsspec imports it, for an address s3://",
    "ziglang": "a command: it links circuits where there is no system linker",
}

TOOLS = {"docs", "test"}
"""Extras that the packages themselves never import."""

BY_MINOR_VERSION = {"h11", "starlette", "uvicorn"}
"""Whose inner parts the service builds on."""

LATEST_MINORS = 4
"""Between the least and the greatest version of such a one: constraints.txt has two, for different Pythons."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, also by name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith("import_module")
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, str)
        ):
            yield node.args[0].value


def distribution(module: str) -> str | None:
    """What a module comes with; None for the standard library and our own."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in OWN:
        return None
    parts = module.split(".")
    fits = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    named = next((NAMED_OTHERWISE[name] for name in fits if name in NAMED_OTHERWISE), top)
    return normal(named)


def used() -> dict[str, str]:
    """Distributions that the three packages import, each with one file that does."""
    found: dict[str, str] = {}
    for package in ("cryptml", "server", "client"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for module in imported(path):
                name = distribution(module)
                if name is not None:
                    found.setdefault(name, str(path.relative_to(ROOT)))
    return found


def requirements(*, tests: bool) -> list[Requirement]:
    extras = [
        item for name, items in PROJECT["optional-dependencies"].items() if tests or name not in TOOLS for item in items
    ]
    asked = [Requirement(item) for item in (*PROJECT["dependencies"], *extras)]
    return [each for each in asked if each.name != PROJECT["name"]]  # extras made of others


def test_what_is_imported_is_declared() -> None:
    declared = {normal(each.name) for each in requirements(tests=False)}
    assert {name: where for name, where in used().items() if name not in declared} == {}


def test_what_is_declared_is_imported() -> None:
    declared = {normal(each.name) for each in requirements(tests=False)}
    found = set(used())
    assert declared - found == set(NEVER_IMPORTED)
    assert all(NEVER_IMPORTED.values())


def test_imports_within_functions_and_by_name_count(tmp_path: Path) -> None:
    file = tmp_path / "lazy.py"
    file.write_text(
        "import importlib\ndef f():\n    from concrete.ml.torch import compile\n    import PIL.Image\n"
        "    return importlib.import_module('ray')\nfrom concrete import ml\nfrom concrete import fhe\nfrom . import x\n"
    )
    found = {distribution(module) for module in imported(file)} - {None}
    assert found == {"concrete-ml", "concrete-python", "pillow", "ray"}


@pytest.mark.parametrize("requirement", requirements(tests=True), ids=str)
def test_every_declaration_has_both_ends(requirement: Requirement) -> None:
    operators = {each.operator for each in requirement.specifier}
    assert operators & {">=", "==", "~="}, "no least version"
    assert operators & {"<", "<=", "==", "~="}, "no greatest version"
    for version in pins()[normal(requirement.name)]:
        assert requirement.specifier.contains(version), f"constraints.txt has {version}"
    if normal(requirement.name) in BY_MINOR_VERSION:
        assert minors(requirement.specifier) <= LATEST_MINORS


def test_inner_parts_are_bounded_by_the_minor_version() -> None:
    declared = {normal(each.name) for each in requirements(tests=False)}
    assert declared >= BY_MINOR_VERSION


def minors(specifier: SpecifierSet) -> int:
    """Minor versions that are admitted, of one major version."""
    (least,) = [Version(each.version) for each in specifier if each.operator == ">="]
    (end,) = [Version(each.version) for each in specifier if each.operator == "<"]
    assert end.major == least.major
    return end.minor - least.minor


def pins() -> dict[str, list[Version]]:
    """Versions in constraints.txt, of all Pythons."""
    found: dict[str, list[Version]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        pinned, _, marker = line.partition(" ; ")
        if marker:
            Marker(marker)
        name, _, version = pinned.partition("==")
        found.setdefault(normal(name), []).append(Version(version))
    return found
