"""Pixels that are not square, made square."""

from __future__ import annotations

import numpy as np

from cryptml.images.image import Floats

_STRIP = 256
"""Lines that are averaged together, so that memory stays a small multiple of the picture's."""


def make_square(pixels: Floats, aspect: float) -> Floats:
    """Return a picture whose pixels are square: lines of the finer axis are averaged by the area that they cover.

    Nothing is enlarged, so the picture keeps the resolution of its coarser axis.

    Args:
        pixels: float32 (rows, columns).
        aspect: Height of a pixel in widths of it, above 0.

    Returns:
        float32 (rows, columns), one of them fewer; the same array for an aspect of 1.
    """
    if aspect == 1:
        return pixels
    if aspect < 1:
        return _averaged(pixels, max(1, round(pixels.shape[0] * aspect)))
    return np.ascontiguousarray(_averaged(pixels.T, max(1, round(pixels.shape[1] / aspect))).T)


def _averaged(pixels: Floats, count: int) -> Floats:
    """Reduce the rows to ``count`` by area averaging, a strip of columns at a time."""
    rows, columns = pixels.shape
    edges = np.linspace(0, rows, count + 1)
    whole = np.minimum(edges.astype(np.int64), rows - 1)
    share = (edges - whole)[:, None]
    result = np.empty((count, columns), np.float32)
    for start in range(0, columns, _STRIP):
        strip = pixels[:, start : start + _STRIP].astype(np.float64)
        below = np.zeros((rows + 1, strip.shape[1]))
        np.cumsum(strip, axis=0, out=below[1:])
        sums = below[whole] + share * strip[whole]
        result[:, start : start + _STRIP] = np.diff(sums, axis=0) * (count / rows)
    return np.clip(result, 0, 1)
