"""Which entry of a table a value reads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptml.errors import NetworkError
from cryptml.networks.bins import Bins

any_bins = st.builds(Bins, st.integers(-100, 100), st.integers(1, 40), st.integers(0, 5))


@given(any_bins, st.lists(st.integers(-2000, 2000), min_size=1))
def test_every_value_reads_the_bin_that_holds_it_or_the_nearest(bins: Bins, values: list[int]) -> None:
    for value, index in zip(values, bins.index(np.array(values)).tolist(), strict=True):
        first = bins.low + index * bins.width
        inside = first <= value < first + bins.width
        assert inside or (value < bins.low and index == 0) or (value > bins.high and index == bins.count - 1)


@given(any_bins, st.integers(-2000, 2000))
def test_bins_are_sure_of_what_half_a_bin_of_noise_leaves_inside(bins: Bins, value: int) -> None:
    reach = bins.width // 2
    inside = bins.low <= value - reach and value + reach <= bins.low + bins.count * bins.width - 1
    assert bins.hold(np.array([value])).tolist() == [inside]


@given(any_bins)
def test_the_numbers_of_all_bins_fit_their_bits(bins: Bins) -> None:
    assert bins.index(np.array([bins.high])) == [bins.count - 1]
    assert 2 ** (bins.bits - 1) < bins.count <= 2**bins.bits or bins.bits == 1


@pytest.mark.parametrize(("count", "dropped"), [(0, 0), (4, -1), (4, 17)])
def test_bins_that_cannot_be_are_refused(count: int, dropped: int) -> None:
    with pytest.raises(NetworkError, match=f"{count} entries cannot drop {dropped} bits"):
        Bins(0, count, dropped)
