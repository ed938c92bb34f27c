"""Square regions of a picture, cropped and reduced by area averaging."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cryptml.errors import ImageError
from cryptml.images.image import Floats, Image


@dataclass(frozen=True)
class Region:
    """A square of a picture, in pixels of the original.

    Attributes:
        x: Column of its left edge, from 0.
        y: Row of its top edge, from 0 and counted downwards.
        size: Length of its side, at least 1.

    Raises:
        ImageError: If a value is not a whole number or below its bound.
    """

    x: int
    y: int
    size: int

    def __post_init__(self) -> None:
        for name, value, least in (("x", self.x, 0), ("y", self.y, 0), ("size", self.size, 1)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ImageError(f"a region's {name} is {value!r} where a whole number of at least {least} is needed")

    @classmethod
    def parse(cls, text: str) -> Region:
        """Read ``"X,Y,SIZE"``, the form that ``str`` writes.

        Raises:
            ImageError: If the text is anything else.
        """
        match = re.fullmatch(r"\s*([0-9]{1,6})\s*,\s*([0-9]{1,6})\s*,\s*([0-9]{1,6})\s*", text)
        if match is None:
            raise ImageError(
                f"the region {text!r} is not X,Y,SIZE; give three whole numbers, such as 1200,800,512, "
                "for the left column, the top row and the side in pixels"
            )
        x, y, size = (int(group) for group in match.groups())
        return cls(x, y, size)

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.size}"


def reduce_area(pixels: npt.NDArray[np.floating[Any]], side: int) -> Floats:
    """Reduce a square to ``side`` x ``side`` by area averaging.

    Each new pixel is the mean of the area it covers, and pixels on a border count by the covered share; so the mean
    of the whole is kept for every ratio of sizes, not for whole ones only.

    Args:
        pixels: (size, size), values in [0, 1].
        side: Side of the result, 1 to size.

    Returns:
        float32 (side, side), values in [0, 1].

    Raises:
        ImageError: If the array is not square or smaller than ``side``: nothing is ever enlarged.
    """
    size = pixels.shape[0]
    if pixels.ndim != 2 or pixels.shape[1] != size:
        raise ImageError(f"an array of shape {pixels.shape} is not square; crop it first")
    if not 1 <= side <= size:
        raise ImageError(
            f"a region of {size} x {size} pixels cannot be reduced to {side} x {side}; "
            f"choose a region of at least {max(side, 1)} pixels{'' if side >= 1 else ', and a side of at least 1'}"
        )
    edges = np.linspace(0, size, side + 1)[:, None]
    covered = np.clip(edges[1:], np.arange(size), np.arange(1, size + 1))
    covered -= np.clip(edges[:-1], np.arange(size), np.arange(1, size + 1))
    weights = covered * (side / size)
    reduced: npt.NDArray[np.float64] = weights @ pixels.astype(np.float64) @ weights.T
    return np.clip(reduced, 0, 1).astype(np.float32)


def crop(image: Image, region: Region, side: int) -> Floats:
    """Cut a square out of a picture and reduce it by area averaging.

    Returns:
        float32 (side, side), values in [0, 1].

    Raises:
        ImageError: If the region is not inside the picture or smaller than ``side``.
    """
    if region.x + region.size > image.columns or region.y + region.size > image.rows:
        raise ImageError(
            f"the region {region} reaches column {region.x + region.size} and row {region.y + region.size} of a "
            f"picture of {image.columns} columns x {image.rows} rows; move it inside or make it smaller"
        )
    return reduce_area(image.pixels[region.y : region.y + region.size, region.x : region.x + region.size], side)


def central_region(image: Image) -> Region:
    """The largest square in the middle of a picture."""
    size = min(image.rows, image.columns)
    return Region((image.columns - size) // 2, (image.rows - size) // 2, size)


def brightest_region(image: Image, size: int) -> Region:
    """The square of highest mean, a simple way to find tissue on a dark film.

    Means come from an integral image (Crow, "Summed-area tables for texture mapping", SIGGRAPH 1984). Positions are
    tried every ``size // 8`` pixels and at the far edges; of equal ones, the topmost and then leftmost wins.

    Args:
        image: Where to look.
        size: Side of the square, 1 to the picture's shorter side.

    Raises:
        ImageError: If no square of that size fits.
    """
    if not 1 <= size <= min(image.rows, image.columns):
        raise ImageError(
            f"a square of {size} pixels does not fit a picture of {image.columns} columns x {image.rows} rows; "
            f"choose 1 to {min(image.rows, image.columns)}"
        )
    total = np.zeros((image.rows + 1, image.columns + 1))
    total[1:, 1:] = image.pixels.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    step = max(1, size // 8)
    top = np.unique(np.append(np.arange(0, image.rows - size, step), image.rows - size))[:, None]
    left = np.unique(np.append(np.arange(0, image.columns - size, step), image.columns - size))[None, :]
    bottom, right = top + size, left + size
    sums = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
    row, column = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return Region(int(left[0, column]), int(top[row, 0]), size)
