"""Many problems in one sentence: a remedy that is the same for all is said once, at its end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cryptml.datasets.problems import MOST_CHARACTERS, MOST_LISTED, listed


def test_a_shared_remedy_is_said_once() -> None:
    assert listed(["a: dark; crop it", "b: dark; crop it"]) == "a: dark; b: dark; crop it"
    assert listed(["a: dark; crop it", "b: red; grey it"]) == "a: dark; crop it; b: red; grey it"
    assert listed(["a: dark; crop it"]) == "a: dark; crop it"
    assert listed(["a: dark", "b: dark"]) == "a: dark; b: dark"


@given(st.lists(st.text("ab ;", max_size=60), min_size=1, max_size=50), st.sampled_from(["", "; give another file"]))
def test_bounded_and_nothing_is_lost(problems: list[str], remedy: str) -> None:
    found = listed([problem + remedy for problem in problems])
    assert found.endswith(remedy)
    shown = found.count(problems[0][:20])
    assert shown >= 1
    assert len(found) <= MOST_CHARACTERS + max(map(len, problems)) + len(remedy) + 100
    if len(problems) > MOST_LISTED:
        assert "and " in found
        assert " more" in found
