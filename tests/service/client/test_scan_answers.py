"""Answers of an interrupted scan come back as they were, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptml_client import TileAnswer
from hypothesis import given
from hypothesis import strategies as st

from cryptml.images import Region

HERE = Region(1, 2, 3)
ANSWER = TileAnswer(HERE, (0.25, 0.75), 12.5, 100, 200)


@given(st.floats(0, 1), st.floats(0, 1e9), st.integers(0, 10**12))
def test_what_is_written_is_read(share: float, milliseconds: float, count: int) -> None:
    answer = TileAnswer(HERE, (share, 1 - share), milliseconds, count, count)
    assert TileAnswer.from_json(HERE, json.loads(json.dumps(answer.to_json())), 2) == answer


@pytest.mark.parametrize(
    "damage",
    [
        {"probabilities": [0.5]},
        {"probabilities": [2.0, -1.0]},
        {"probabilities": [float("nan"), 0.5]},
        {"probabilities": [True, False]},
        {"probabilities": [10**400, 0]},
        {"probabilities": "half"},
        {"probabilities": None},
        {"milliseconds": "soon"},
        {"milliseconds": float("inf")},
        {"milliseconds": -1},
        {"upload_bytes": []},
        {"upload_bytes": -5},
        {"download_bytes": float("inf")},
        {"download_bytes": 10**400},
    ],
    ids=lambda damage: str(damage)[:40],
)
def test_a_damaged_answer_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        TileAnswer.from_json(HERE, {**ANSWER.to_json(), **damage}, 2)


@pytest.mark.parametrize("name", ANSWER.to_json())
def test_a_missing_field_is_refused(name: str) -> None:
    rest = {key: value for key, value in ANSWER.to_json().items() if key != name}
    with pytest.raises(ValueError):
        TileAnswer.from_json(HERE, rest, 2)


@pytest.mark.parametrize("value", [None, 3, "text", [1]])
def test_what_is_no_answer_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        TileAnswer.from_json(HERE, value, 2)


def test_a_square_without_an_answer_is_written_and_read() -> None:
    answer = TileAnswer(HERE, (), 0.0, 0, 0)
    assert TileAnswer.from_json(HERE, json.loads(json.dumps(answer.to_json())), 2) == answer
