"""Variants of training regions that show the same thing: which those are depends on what tells the classes apart."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SHIFT_DIVISOR = 10
"""Regions move by up to side // 10 pixels along each axis."""


def augment(regions: Tensor, generator: torch.Generator, kind: str = "symmetries") -> Tensor:
    """Turn, mirror and shift every region by itself, as far as its kind of augmentation allows.

    Each flip and the transposition happen with probability 1/2, which makes the eight symmetries of the square equally
    likely; what a shift uncovers is filled by reflection at the edge.

    Args:
        regions: (batch, channels, side, side) float32.
        generator: Source of all randomness.
        kind: One of `cryptml.datasets.base.AUGMENTATIONS`. ``symmetries`` turns, mirrors and shifts: for what has no up and no left, as
            a lesion of a mammogram. ``mirror`` swaps left and right, and shifts: for what has an up, as in ultrasound.
            ``shift`` shifts alone: for
            classes that differ by side or direction. ``none`` leaves regions as they are.

    Returns:
        A tensor of the same shape and type; the argument is not changed.
    """
    if kind == "none":
        return regions
    for variant in _VARIANTS[kind]:
        chosen = torch.rand(len(regions), generator=generator) < 0.5
        regions = torch.where(chosen[:, None, None, None], variant(regions), regions)
    return shift(regions, regions.shape[-1] // SHIFT_DIVISOR, generator)


def shift(regions: Tensor, reach: int, generator: torch.Generator) -> Tensor:
    """Move every region by up to ``reach`` pixels along each axis, filled by reflection.

    Args:
        regions: (batch, channels, side, side).
        reach: In pixels, 0 to side - 1.
        generator: Draws both shifts of each region, all whole numbers in [-reach, reach] equally likely.
    """
    if reach == 0:
        return regions
    batch, _, side, _ = regions.shape
    padded = functional.pad(regions, (reach, reach, reach, reach), mode="reflect")
    starts = torch.randint(0, 2 * reach + 1, (2, batch, 1), generator=generator)
    rows, columns = starts + torch.arange(side)
    items = torch.arange(batch)[:, None, None]
    moved = padded[items, :, rows[:, :, None], columns[:, None, :]]  # indexed axes come first: channels are last
    return moved.permute(0, 3, 1, 2)


def _flip_columns(regions: Tensor) -> Tensor:
    return regions.flip(-1)


def _flip_rows(regions: Tensor) -> Tensor:
    return regions.flip(-2)


def _transpose(regions: Tensor) -> Tensor:
    return regions.transpose(-1, -2)


_VARIANTS = {"symmetries": (_flip_columns, _flip_rows, _transpose), "mirror": (_flip_columns,), "shift": ()}
