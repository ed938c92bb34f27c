"""The filters that convolutions begin with answer to waves of their own length and direction, wherever the crests are."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cryptml.networks.architectures.wavelets import LEAST_SIDE, NORM, SCALES, gabor_filters
from cryptml.networks.architectures.windows import CHANNELS, windowed

SIDE, DIRECTIONS = 18, 6


def wave(length: float, angle: float, phase: float) -> torch.Tensor:
    place = torch.arange(SIDE, dtype=torch.float32)
    rows, columns = torch.meshgrid(place, place, indexing="ij")
    return torch.cos(2 * math.pi * (columns * math.cos(angle) + rows * math.sin(angle)) / (length * SIDE) + phase)


@given(st.integers(1, 40), st.integers(LEAST_SIDE, 24))
def test_filters_have_mean_0_and_norm_1(count: int, side: int) -> None:
    filters = gabor_filters(count, side)
    assert filters.shape == (count, 1, side, side)
    assert filters.mean((1, 2, 3)).abs().max() < 1e-5
    torch.testing.assert_close(filters.flatten(1).norm(dim=1), torch.ones(count))


@pytest.mark.parametrize("scale", range(len(SCALES)))
@pytest.mark.parametrize("direction", range(DIRECTIONS))
@pytest.mark.parametrize("phase", [0.0, 0.7, 2.0])
def test_both_phases_together_find_a_wave(scale: int, direction: int, phase: float) -> None:
    shown = wave(SCALES[scale][0], math.pi * direction / DIRECTIONS, phase)
    answers = (gabor_filters(24, SIDE) * shown).sum((1, 2, 3)).reshape(2, DIRECTIONS, 2).norm(dim=2)
    assert answers.argmax() == scale * DIRECTIONS + direction


@pytest.mark.parametrize("kernel", [14, 16])
def test_networks_of_windows_begin_with_them(kernel: int) -> None:
    weight = windowed(2, kernel=kernel, stride=8).get_submodule("conv1").weight
    torch.testing.assert_close(weight.detach(), NORM * gabor_filters(CHANNELS, kernel))
