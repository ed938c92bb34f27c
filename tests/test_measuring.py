"""Tests that are not measured run nothing that others do not run."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.measuring import read_unmeasured, unneeded

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


def test_those_that_are_named_exist() -> None:
    for name in read_unmeasured():
        file, *_, function = name.split("::")
        assert re.search(rf"^\s*def {function}\(", (ROOT / file).read_text(), re.MULTILINE), name
