"""Inputs to measure with are such that there is a right answer to compare with."""

from __future__ import annotations

import numpy as np
import pytest

from cryptml.networks.rounding.clamping import within_bins
from cryptml.profiler.measure.samples import sample_input, sample_region
from cryptml.splits import Segment, enumerate_segments
from tests.networks.network_samples import rounded_network, small_network


@pytest.mark.parametrize("segment", list(enumerate_segments(5)), ids=str)
@pytest.mark.parametrize("make", [rounded_network, small_network])
def test_no_table_clamps_a_sample_where_one_can_be_found(make: object, segment: Segment) -> None:
    network = make()  # type: ignore[operator]
    for seed in range(4):
        values = sample_input(network, segment, seed)
        assert values.shape == (1, *network.boundaries[segment.start].shape)
        assert network.boundaries[segment.start].describe_violation(values) is None
        assert within_bins(network, values, segment).all()
        assert np.array_equal(values, sample_input(network, segment, seed))


def test_regions_are_within_range_too() -> None:
    network = rounded_network()
    region = sample_region(network, 0)
    assert region.shape == (4, 4)
    assert within_bins(network, network.quantise(region[None]), Segment(0, 5)).all()
    assert not np.array_equal(region, sample_region(network, 1))
