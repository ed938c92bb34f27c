"""What an approximate evaluation may answer: shown by reading neighbouring bins at random."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptml.networks.bins import Bins
from cryptml.networks.extent import IntArray
from cryptml.networks.layers import run_all
from cryptml.networks.operations import NumpyOperations
from cryptml.networks.rounding.envelope import Interval, IntervalOperations, envelope, split_envelope
from cryptml.splits import Segment, Side, Split, enumerate_segments, enumerate_splits
from tests.networks.network_samples import rounded_network

NETWORK = rounded_network()


class Blurred(NumpyOperations):
    """Reads every rounded value from its own bin or a neighbouring one."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def look_up(self, x: IntArray, tables: IntArray, bins: Bins) -> IntArray:
        moved = x + bins.width * self._random.integers(-1, 2, x.shape) if bins.dropped_bits else x
        return super().look_up(moved, tables, bins)


def inputs(seed: int, boundary: int = 0, count: int = 8) -> IntArray:
    reads = NETWORK.boundaries[boundary]
    return np.random.default_rng(seed).integers(reads.low, reads.high, (count, *reads.shape), np.int64, endpoint=True)


@settings(deadline=None)
@given(st.sampled_from(list(enumerate_segments(len(NETWORK)))), st.integers(0, 2**32))
def test_whatever_neighbours_are_read_the_answer_lies_in_the_envelope(segment: Segment, seed: int) -> None:
    values = inputs(seed, segment.start)
    layers, extent = NETWORK.segment_layers(segment), NETWORK.boundaries[segment.start].extent()
    found = envelope(NETWORK, values, segment)
    assert found.holds(NETWORK.run(values, segment))
    if NETWORK.is_approximate(segment) and layers[0].kind != "activation":
        assert found.holds(run_all(layers, values, extent, Blurred(seed)))
        assert not np.array_equal(found.low, found.high)
    elif not NETWORK.is_approximate(segment):
        assert np.array_equal(found.low, found.high)


@pytest.mark.parametrize("split", list(enumerate_splits(len(NETWORK))), ids=str)
def test_the_envelope_of_a_split_is_a_point_where_no_server_segment_rounds(split: Split) -> None:
    values = inputs(1)
    found = split_envelope(NETWORK, split, values)
    assert found.holds(NETWORK.run(values))
    exact = not any(side is Side.SERVER and NETWORK.is_approximate(segment) for side, segment in split.segments)
    assert np.array_equal(found.low, found.high) == exact


@given(st.integers(0, 2**32), st.integers(1, 70), st.integers(1, 3))
def test_an_interval_reads_the_least_and_the_largest_entry_between_its_ends(seed: int, count: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    tables, bins = random.integers(-50, 50, (rows, count)), Bins(0, count)
    low, high = np.sort(random.integers(0, count, (2, 5, rows)), axis=0)
    found = IntervalOperations(blurred=True).look_up(Interval(low, high), tables, bins)
    for place in np.ndindex(low.shape):
        entries = tables[place[1], low[place] : high[place] + 1]
        assert (found.low[place], found.high[place]) == (entries.min(), entries.max())
