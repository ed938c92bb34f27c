"""Filters that a convolution begins with: oriented waves under a Gaussian window, which training then moves."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

PHASES = (0.0, math.pi / 2)
"""A quarter of a wave apart: the absolute values of both together say how strong a wave is, wherever its crests are."""

SCALES = ((5 / 18, 3.5 / 18), (10 / 18, 5 / 18))
"""Length of a wave and deviation of its window, of a filter's side. Chosen by cross-validation on BreastMNIST, whose figures they
flatter a little."""

NORM = 0.55
"""Of a filter, so that weights begin about as large as elsewhere."""

LEAST_SIDE = 4
"""Of a filter: a wave needs some pixels."""


def gabor_filters(count: int, side: int) -> Tensor:
    """Return filters (count, 1, side, side) float32 of mean 0 and Euclidean norm 1.

    Short waves first, then long ones; of each as many directions, equally spaced over half a turn, as it takes, in both phases. They are
    Gabor's functions in two dimensions (J. Daugman, "Uncertainty relation for resolution in space, spatial frequency, and orientation",
    1985).

    Args:
        count: 1 or more; what is left of the last scale is cut off.
        side: Rows and columns of a filter, `LEAST_SIDE` or more.
    """
    place = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    rows, columns = torch.meshgrid(place, place, indexing="ij")
    directions = math.ceil(count / (len(SCALES) * len(PHASES)))
    filters = []
    for length, deviation in SCALES:
        window = torch.exp(-(rows**2 + columns**2) / (2 * (deviation * side) ** 2))
        for direction in range(directions):
            angle = math.pi * direction / directions
            along = columns * math.cos(angle) + rows * math.sin(angle)
            for phase in PHASES:
                wave = window * torch.cos(2 * math.pi * along / (length * side) + phase)
                wave = wave - window * wave.sum() / window.sum()
                filters.append(wave / wave.norm())
    return torch.stack(filters[:count])[:, None].to(torch.float32)


def begin_as_wavelets(convolution: nn.Module) -> nn.Module:
    """Put `gabor_filters` of norm `NORM` into a convolution that reads one channel, in place, and return it."""
    count, _, side, _ = convolution.weight.shape
    with torch.no_grad():
        convolution.weight.copy_(NORM * gabor_filters(count, side))
    return convolution
