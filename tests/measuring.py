"""Which tests are measured: measuring takes a third of the time of all tests, and many run lines that others run too.

``tests/unmeasured.txt`` names tests whose calls are not measured, though their fixtures and the processes that they start are. To make it
anew, run all tests with a context for each and their times, and say which are needed::

    CRYPTML_CONTEXTS=times.tsv make test ARGS="--cov --cov-report="
    python -m tests.measuring .coverage times.tsv > tests/unmeasured.txt
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

UNMEASURED = Path(__file__).with_name("unmeasured.txt")
CONTEXTS = "CRYPTML_CONTEXTS"
"""Variable with the file to which seconds of processor time are written, by test."""

LEAST_SECONDS = 1.0
"""Of processor time, of tests that are worth a line."""

HEAD = """\
# Tests that take a second or more and run no line that others do not run: their calls are not measured, which takes up to as long again.
# Made anew by: python -m tests.measuring .coverage times.tsv (see there). A test that is not named here is measured.
"""


def name_of(node: str) -> str:
    """Return a test's name without its parameters."""
    return node.partition("[")[0]


def read_unmeasured() -> frozenset[str]:
    """Return the names of the tests that are not measured."""
    return frozenset(line for line in UNMEASURED.read_text().splitlines() if line and not line.startswith("#"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is not measured, as pytest-cov has it."""
    if os.environ.get(CONTEXTS):
        return
    unmeasured = read_unmeasured()
    for item in items:
        if name_of(item.nodeid) in unmeasured:
            item.add_marker(pytest.mark.no_cover)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Where contexts are asked for, give each test its own, and write how long it took."""
    times = os.environ.get(CONTEXTS)
    if not times:
        return (yield)
    plugin = item.config.pluginmanager.getplugin("_cov")
    controller = getattr(plugin, "cov_controller", None)
    if controller is not None:
        controller.cov.switch_context(name_of(item.nodeid))
    before = _seconds()
    done = yield
    with Path(times).open("a") as file:
        file.write(f"{name_of(item.nodeid)}\t{_seconds() - before:.3f}\n")
    return done


def _seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def unneeded(lines: dict[str, set[Any]], seconds: dict[str, float]) -> list[str]:
    """Return which tests run only lines that the others run.

    Args:
        lines: That each test runs; those of no test, such as imports, under the empty name.
        seconds: That each takes.

    Returns:
        What is left where again and again the test is taken that brings the most new lines a second.
    """
    covered = set(lines.get("", ()))
    left = {name: set(found) for name, found in lines.items() if name}
    while left:
        best = max(left, key=lambda name: len(left[name] - covered) / max(seconds.get(name, 0.0), 0.1))
        if left[best] <= covered:
            break
        covered |= left.pop(best)
    return sorted(left)


def main(data: Path, times: Path) -> None:
    """Print the tests that need not be measured."""
    lines: dict[str, set[Any]] = defaultdict(set)
    with sqlite3.connect(data) as database:
        for context, *arc in database.execute(
            "select context, file_id, fromno, tono from arc join context on context.id = arc.context_id"
        ):
            lines[context].add(tuple(arc))
    seconds: dict[str, float] = defaultdict(float)
    for line in times.read_text().splitlines():
        name, taken = line.split("\t")
        seconds[name] += float(taken)
    found = [name for name in unneeded(lines, seconds) if seconds[name] >= LEAST_SECONDS]
    sys.stdout.write(HEAD + "".join(f"{name}\n" for name in found))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
