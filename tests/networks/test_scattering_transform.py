"""The scattering transform by matrix products, against the same by one Fourier transform a map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scattering import direct, smooth_noise
from cryptml.networks import FloatArray, Scattering, load_network

SHIPPED = Scattering(28, octaves=3, directions=8, cells=2, harmonics=2)


def noise(count: int, side: int) -> FloatArray:
    return np.random.default_rng(1).random((count, side, side), np.float32)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(17, 40),
    st.integers(1, 4),
    st.integers(1, 9),
    st.integers(1, 3),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_features_are_those_of_whole_maps(
    side: int, octaves: int, directions: int, cells: int, components: bool, seed: int
) -> None:
    front_end = Scattering(side, octaves, directions, cells, (directions - 1) // 2 if components else None)
    pictures = smooth_noise(2, side, seed)
    # Where wavelets are longer than a cell, averages of next to nothing are float32 noise on either way.
    np.testing.assert_allclose(front_end.apply(pictures), direct(front_end, pictures), atol=5e-5)


@pytest.mark.parametrize("make", [smooth_noise, noise])
def test_few_quantised_inputs_of_the_shipped_network_move(make: Callable[[int, int], FloatArray]) -> None:
    """By one step of the grid, where a feature lies within 1e-5 of an edge between two."""
    pictures, grid = make(24, SHIPPED.side), load_network("scatter").boundaries[0]
    before, after = direct(SHIPPED, pictures), SHIPPED.apply(pictures)
    np.testing.assert_allclose(after, before, atol=1e-5)
    moved = grid.quantise(before) - grid.quantise(after)
    assert np.abs(moved).max() <= 1
    assert np.count_nonzero(moved) <= 1e-3 * moved.size


def test_no_region_gives_no_row() -> None:
    assert SHIPPED.apply(np.empty((0, 28, 28), np.float32)).shape == (0, 360)


def test_flat_and_spotted_regions_agree_too() -> None:
    pictures = np.zeros((3, 28, 28), np.float32)
    pictures[1, 13, 4], pictures[2, :, 14:] = 1, 1
    np.testing.assert_allclose(SHIPPED.apply(pictures), direct(SHIPPED, pictures), atol=1e-5)
