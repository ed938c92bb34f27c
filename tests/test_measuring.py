"""Tests that are not measured run nothing that others do not run."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.measuring import main, read_unmeasured, unneeded

ROOT = Path(__file__).parents[1]


@given(
    st.dictionaries(st.text("abc", max_size=3), st.sets(st.integers(0, 9)), max_size=8),
    st.dictionaries(st.text("abc", max_size=3), st.floats(0, 100), max_size=8),
)
def test_nothing_is_lost(lines: dict[str, set[int]], seconds: dict[str, float]) -> None:
    found = unneeded(lines, seconds)
    kept = [each for name, each in lines.items() if name not in found]
    assert set().union(*kept) == set().union(*lines.values())
    assert "" not in found


def test_the_list_is_made_of_what_was_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(tmp_path / "data") as database:
        database.execute("create table context (id integer, context text)")
        database.execute("create table arc (file_id integer, context_id integer, fromno integer, tono integer)")
        database.executemany(
            "insert into context values (?, ?)", [(0, ""), (1, "a::slow"), (2, "a::quick"), (3, "a::brief")]
        )
        database.executemany("insert into arc values (1, ?, 1, ?)", [(0, 1), (1, 2), (2, 2), (2, 3), (3, 2)])
    (tmp_path / "times").write_text("a::slow\t5.0\na::quick\t0.2\na::brief\t0.5\n")
    main(tmp_path / "data", tmp_path / "times")
    named = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("#")]
    assert named == ["a::slow"], "the quick one brings all lines, and the brief one is not worth a line"


def test_those_that_are_named_exist() -> None:
    for name in read_unmeasured():
        file, *_, function = name.split("::")
        assert re.search(rf"^\s*def {function}\(", (ROOT / file).read_text(), re.MULTILINE), name
