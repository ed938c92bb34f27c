"""Answers of an interrupted scan come back as they were, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptml_client import TileAnswer
from hypothesis import given
from hypothesis import strategies as st

from cryptml.errors import JournalError
from cryptml.images import Region

CLASSES = ("normal", "abnormal")
ANSWER = TileAnswer(Region(1, 2, 3), "abnormal", (0.25, 0.75), 12.5, 100, 200)


@given(st.integers(0, 10**5), st.integers(1, 10**4), st.floats(0, 1), st.floats(0, 1e9), st.integers(0, 10**12))
def test_what_is_written_is_read(place: int, size: int, share: float, milliseconds: float, count: int) -> None:
    answer = TileAnswer(Region(place, place, size), "normal", (share, 1 - share), milliseconds, count, count)
    assert TileAnswer.from_json(json.loads(json.dumps(answer.to_json())), CLASSES) == answer
    assert 0 <= answer.positive_probability <= 1


def test_every_class_but_the_first_is_positive() -> None:
    assert TileAnswer(Region(0, 0, 1), "c", (0.1, 0.3, 0.6), 1.0, 0, 0).positive_probability == pytest.approx(0.9)


@pytest.mark.parametrize(
    "damage",
    [
        {"probabilities": [0.5]},
        {"probabilities": [2.0, -1.0]},
        {"probabilities": [float("nan"), 0.5]},
        {"probabilities": "half"},
        {"probabilities": None},
        {"label": "unheard of"},
        {"x": -1},
        {"size": 2.5},
        {"milliseconds": "soon"},
        {"milliseconds": float("inf")},
        {"upload_bytes": []},
        {"download_bytes": float("inf")},
    ],
)
def test_a_damaged_answer_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises(JournalError, match="scan again without --resume"):
        TileAnswer.from_json({**ANSWER.to_json(), **damage}, CLASSES)


@pytest.mark.parametrize("name", ANSWER.to_json())
def test_a_missing_field_is_refused(name: str) -> None:
    rest = {key: value for key, value in ANSWER.to_json().items() if key != name}
    with pytest.raises(JournalError, match="is damaged; scan again"):
        TileAnswer.from_json(rest, CLASSES)


@pytest.mark.parametrize("value", [None, 3, "text", [1]])
def test_what_is_no_answer_is_refused(value: Any) -> None:
    with pytest.raises(JournalError, match="is damaged"):
        TileAnswer.from_json(value, CLASSES)
