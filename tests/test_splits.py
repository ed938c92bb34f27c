"""Splits and segments: every layer on one side, every split once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptml.errors import SplitError
from cryptml.splits import Segment, Side, Split, enumerate_segments, enumerate_splits

letters = st.text(alphabet="CS", min_size=1, max_size=40)


@given(letters)
def test_segments_cover_every_layer_once_on_its_side(written: str) -> None:
    covered = [(index, side) for side, part in Split(written).segments for index in range(part.start, part.stop)]
    assert covered == [(index, Side(letter)) for index, letter in enumerate(written)]


@given(letters)
def test_segments_are_maximal(written: str) -> None:
    sides = [side for side, _ in Split(written).segments]
    assert all(before is not after for before, after in pairwise(sides))


@given(letters)
def test_segments_of_both_sides_together_are_all_segments(written: str) -> None:
    split = Split(written)
    together = sorted([*split.client_segments, *split.server_segments])
    assert together == [part for _, part in split.segments]
    assert sum(map(len, together)) == len(split) == len(written)
    assert all(set(written[part.start : part.stop]) == {"S"} for part in split.server_segments)


@given(letters)
def test_a_split_reads_back_as_it_is_written(written: str) -> None:
    split = Split(written)
    assert str(split) == written
    assert "".join(side.value for side in split.sides) == written
    assert split.require_length(len(written)) is split


@pytest.mark.parametrize("layers", range(1, 11))
def test_enumerations_are_complete_and_without_repetition(layers: int) -> None:
    splits = list(enumerate_splits(layers))
    segments = list(enumerate_segments(layers))
    assert len(splits) == len(set(splits)) == 2**layers
    assert len(segments) == len(set(segments)) == layers * (layers + 1) // 2
    assert all(len(split) == layers for split in splits)
    assert segments == sorted(segments)
    assert {part for split in splits for _, part in split.segments} == set(segments)


@given(st.text(max_size=12).filter(lambda text: not text or set(text) - {"C", "S"}))
def test_other_letters_and_nothing_are_refused_by_name(written: str) -> None:
    with pytest.raises(SplitError) as caught:
        Split(written)
    message = str(caught.value)
    assert "C (client) or S (server)" in message
    assert all(repr(letter) in message for letter in set(written) - {"C", "S"})


@pytest.mark.parametrize(
    ("written", "shown"), [("", "nothing"), ("ccs", "'c', 's'"), ("CS\n", r"'\n'"), ("C S", "' '")]
)
def test_what_is_wrong_is_shown(written: str, shown: str) -> None:
    with pytest.raises(SplitError, match="holds") as caught:
        Split(written)
    assert f"holds {shown}" in str(caught.value)


@given(letters, st.integers(1, 40))
def test_a_split_of_another_length_is_refused_with_both_lengths(written: str, layers: int) -> None:
    split = Split(written)
    if layers == len(written):
        assert split.require_length(layers) is split
        return
    with pytest.raises(SplitError, match=f"has {len(written)} letters?.*has {layers} layers?.*write {layers}"):
        split.require_length(layers)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (0, 0), (3, 2), (2, 2)])
def test_an_empty_or_negative_segment_is_refused(start: int, stop: int) -> None:
    with pytest.raises(SplitError, match=rf"\[{start}, {stop}\).*0 <= start < stop"):
        Segment(start, stop)


def test_a_segment_is_written_as_its_bounds() -> None:
    assert str(Segment(2, 5)) == "2-5"
    assert len(Segment(2, 5)) == 3


@pytest.mark.parametrize("layers", [0, -3])
@pytest.mark.parametrize("enumerate_all", [enumerate_splits, enumerate_segments])
def test_a_network_without_layers_has_nothing_to_enumerate(enumerate_all: object, layers: int) -> None:
    with pytest.raises(SplitError, match=f"{layers} layers has no splits; at least 1"):
        list(enumerate_all(layers))  # type: ignore[operator]
