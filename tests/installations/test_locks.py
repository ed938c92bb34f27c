"""The packages of the small installations are those that their code asks for, at the versions that everything is tested with."""

from __future__ import annotations

import runpy
from typing import Any

import pytest

from tests.installations.promises import HEAVY, ROOT, locked

PARTS = ("client", "server")


@pytest.fixture(scope="module")
def locks() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "make" / "locks.py"))


@pytest.mark.parametrize("part", PARTS)
def test_a_lock_is_what_the_script_writes(locks: dict[str, Any], part: str) -> None:
    assert (ROOT / "make" / f"{part}.txt").read_text() == locks["lock"](part), "run: python make/locks.py"


@pytest.mark.parametrize("part", PARTS)
def test_a_lock_is_a_part_of_the_constraints(part: str) -> None:
    lines = (ROOT / "make" / f"{part}.txt").read_text().splitlines()
    assert set(lines) <= set((ROOT / "constraints.txt").read_text().splitlines())
    assert lines == sorted(lines)
    assert locked(part) & {*HEAVY, "concrete-ml", "scikit-learn", "pip", "setuptools"} == set()


def test_the_server_has_what_the_client_has_and_its_service() -> None:
    assert locked("client") < locked("server")
    assert {"fastapi", "uvicorn", "sqlalchemy"} <= locked("server") - locked("client")


@pytest.mark.parametrize(("package", "comes"), [("torch", {"torch", "sympy"}), ("z3-solver", {"z3-solver"})])
def test_what_is_left_out_is_asked_for(package: str, comes: set[str]) -> None:
    """Each entry has an effect: without it the lock is larger."""
    script = runpy.run_path(str(ROOT / "make" / "locks.py"))
    machine = next(script["machines"]())
    without = script["needed"](["concrete-python"], machine)
    assert set(script["LEFT_OUT"]) == {"torch", "z3-solver"}
    script["LEFT_OUT"].pop(package)
    assert script["needed"](["concrete-python"], machine) - without >= comes


def test_extras_and_markers_count(locks: dict[str, Any]) -> None:
    old, *_, new = locks["machines"]()
    assert "psycopg-binary" in locks["needed"](["psycopg[binary]"], new)
    assert "psycopg-binary" not in locks["needed"](["psycopg"], new)
    assert locks["needed"](["tomli ; python_version < '3.12'"], old) == {"tomli"}
    assert locks["needed"](["tomli ; python_version < '3.12'"], new) == set()
