"""The integer grid between two layers, and the ranges on it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptml.errors import NetworkError
from cryptml.networks import Boundary, Extent
from cryptml.networks.extent import bits_for

scales = st.floats(2**-20, 2**20, width=32)


@st.composite
def boundaries(draw: st.DrawFn) -> Boundary:
    channels = draw(st.integers(1, 4))
    shape = (channels, *draw(st.sampled_from([(), (2, 3)])))
    low = draw(st.integers(-(2**15), 2**15))
    high = low + draw(st.integers(0, 300))

    def each(values: st.SearchStrategy[object]) -> tuple[object, ...]:
        count = draw(st.sampled_from([1, channels]))
        return tuple(draw(st.lists(values, min_size=count, max_size=count)))

    return Boundary(shape, low, high, each(scales), each(st.integers(-(2**15), 2**15)))  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(boundaries())
def test_every_grid_value_survives_the_way_to_real_numbers_and_back(boundary: Boundary) -> None:
    integers = np.arange(boundary.low, boundary.high + 1).reshape(-1, *[1] * len(boundary.shape))
    integers = np.broadcast_to(integers, (len(integers), *boundary.shape))
    reals = boundary.dequantise(integers)
    assert reals.dtype == np.float32
    assert np.array_equal(boundary.quantise(reals), integers)


@settings(max_examples=60, deadline=None)
@given(boundaries(), st.floats(-1e6, 1e6, width=32))
def test_quantised_values_lie_in_the_range_whatever_comes(boundary: Boundary, value: float) -> None:
    integers = boundary.quantise(np.full((2, *boundary.shape), value, np.float32))
    assert integers.dtype == np.int64
    assert boundary.describe_violation(integers) is None


def test_values_beyond_the_range_are_clipped() -> None:
    boundary = Boundary((1,), -2, 1, (0.5,))
    assert boundary.quantise(np.array([[-50], [-1.01], [0.9], [50]], np.float32)).ravel().tolist() == [-2, -2, 1, 1]


def test_halves_are_rounded_to_even() -> None:
    boundary = Boundary((1,), -4, 4, (2.0,))
    halves = np.array([[-7], [-5], [-3], [-1], [1], [3], [5], [7]], np.float32)
    assert boundary.quantise(halves).ravel().tolist() == [-4, -2, -2, 0, 0, 2, 2, 4]


def test_scale_and_zero_apply_to_the_first_axis() -> None:
    boundary = Boundary((2, 1, 2), 0, 9, (1.0, 0.5), (1, 4))
    integers = np.full((1, 2, 1, 2), 6)
    assert boundary.dequantise(integers).tolist() == [[[[5, 5]], [[1, 1]]]]


@given(st.integers(-(2**31), 2**31), st.integers(0, 2**31))
def test_bits_hold_the_range_and_one_less_does_not(low: int, width: int) -> None:
    high = low + width
    bits = bits_for(low, high)
    boundary = Boundary((1,), low, high)
    assert boundary.bits == bits == boundary.extent().bits
    assert boundary.signed == (low < 0)

    def holds(bits: int) -> bool:
        least, greatest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if low < 0 else (0, 2**bits - 1)
        return least <= low and high <= greatest

    assert holds(bits)
    assert bits == 1 or not holds(bits - 1)


@pytest.mark.parametrize(
    ("low", "high", "bits"), [(0, 0, 1), (0, 1, 1), (0, 255, 8), (0, 256, 9), (-1, 0, 1), (-2, 1, 2), (-8, -8, 4)]
)
def test_bits_of_known_ranges(low: int, high: int, bits: int) -> None:
    assert bits_for(low, high) == bits


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (-1, 2)])
def test_an_empty_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(NetworkError, match="shape .* one axis or more"):
        Boundary(shape, 0, 1)


def test_an_empty_range_is_refused_with_its_bounds() -> None:
    with pytest.raises(NetworkError, match=r"\[3, 2\] is empty"):
        Boundary((1,), 3, 2)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("name", ["scale", "zero"])
def test_a_scale_or_zero_for_another_number_of_channels_is_refused(name: str, count: int) -> None:
    with pytest.raises(NetworkError, match=rf"{name} has {count} entries; give 1 or 3 \(channels\)"):
        Boundary((3, 2, 2), 0, 1, **{name: (1,) * count})


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_is_none_is_refused(scale: float) -> None:
    with pytest.raises(NetworkError, match="finite and above 0"):
        Boundary((2,), 0, 1, (1.0, scale))


def test_violations_are_described() -> None:
    boundary = Boundary((2,), 0, 3)
    assert boundary.describe_violation(np.array([[0, 3]])) is None
    assert boundary.describe_violation(np.zeros((0, 2), np.int64)) is None
    assert boundary.describe_violation(np.zeros((1, 3), np.int64)) == "shape (3,) instead of (2,)"
    assert boundary.describe_violation(np.array([[-1, 3]])) == "values in [-1, 3] outside [0, 3]"
    assert boundary.describe_violation(np.array([[0, 4]])) == "values in [0, 4] outside [0, 3]"


def test_without_its_grid_a_boundary_keeps_shape_and_range_alone() -> None:
    bare = Boundary((2, 1, 1), 0, 3, (0.5, 2.0), (1, 2)).without_grid()
    assert (bare.shape, bare.low, bare.high, bare.scale, bare.zero) == ((2, 1, 1), 0, 3, (), (0,))
    for convert in (bare.quantise, bare.dequantise):
        with pytest.raises(NetworkError, match="withheld from this side"):
            convert(np.zeros((1, 2, 1, 1), np.float32))


@settings(max_examples=40, deadline=None)
@given(boundaries())
def test_a_boundary_comes_back_from_json_as_it_was(boundary: Boundary) -> None:
    data = json.loads(json.dumps(boundary.to_json()))
    assert Boundary.from_json(data) == boundary
    assert (data["bits"], data["signed"]) == (boundary.bits, boundary.signed)


def test_sizes() -> None:
    boundary = Boundary((2, 3, 4), 0, 1)
    assert (boundary.channels, boundary.size) == (2, 24)


def test_an_extent_spreads_channels_over_their_values() -> None:
    extent = Extent((2, 1, 2), np.array([0, -3]), np.array([1, 5]))
    assert extent.per_value_low.tolist() == [[[0, 0]], [[-3, -3]]]
    assert extent.per_value_high.tolist() == [[[1, 1]], [[5, 5]]]
    assert extent.bits == 4
