"""Where the breast is on a mammogram, and the squares that cover it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cryptml.errors import ImageError
from cryptml.images.image import Floats, Image
from cryptml.images.regions import Region

Mask = npt.NDArray[np.bool_]

LONGEST_SIDE = 400
"""The breast is looked for on a reduced picture of about this many pixels: its outline is coarse, and labels are thin."""

OPENING = 2
"""Reduced pixels that a thing must be wider than, twice over, to count as connected: cuts film labels and scratches off."""

_LEVELS = 256


MOST_BORDER = 0.8
"""Share of the picture's border that a breast may touch. What touches more of it is no breast on a dark film: a film with dark and
light swapped, or a detail."""

MOST_SQUARES = 10_000
"""Of one scan; a grid of half squares on a mammogram has some hundred."""


def breast_mask(image: Image) -> Mask:
    """Return which pixels show the breast, (rows, columns): the largest bright thing on the film, with its holes filled.

    Bright is what lies above the middle between the film's dark and Otsu's threshold ("A threshold selection method from gray-level
    histograms", 1979), which parts the dark from tissue; the middle keeps the fat at the breast's edge.

    Raises:
        ImageError: If nothing on the picture stands out, or what does reaches round its border.
    """
    from scipy import ndimage  # here, because most who read pictures look for no breast

    factor = max(1, max(image.rows, image.columns) // LONGEST_SIDE)
    reduced = _reduce(image.pixels, factor)
    roots = np.sqrt(reduced - reduced.min())  # brings labels, far brighter than tissue, nearer to it
    bright = ndimage.binary_opening(roots > _edge_of_dark(roots), iterations=OPENING)
    labels, count = ndimage.label(bright)
    if not count:
        raise ImageError(
            f"no breast is found on a picture of {image.columns} columns x {image.rows} rows: nothing on it is bright and "
            "wide enough; give a mammogram with dark surroundings, or predict a region of your own choice"
        )
    sizes = np.bincount(labels.ravel())
    breast = ndimage.binary_fill_holes(labels == 1 + int(np.argmax(sizes[1:])))
    border = np.concatenate([breast[0], breast[-1], breast[1:-1, 0], breast[1:-1, -1]])
    if border.mean() > MOST_BORDER:
        raise ImageError(
            f"what is bright on a picture of {image.columns} columns x {image.rows} rows reaches round {border.mean():.0%} of its border, "
            f"more than {MOST_BORDER:.0%}; give a mammogram on a dark film, with dark and light as a light box shows them"
        )
    rows = np.minimum(np.arange(image.rows) // factor, breast.shape[0] - 1)
    columns = np.minimum(np.arange(image.columns) // factor, breast.shape[1] - 1)
    return np.asarray(breast[np.ix_(rows, columns)])


def tile_breast(image: Image, size: int, step: int, least_share: float = 0.5) -> tuple[Region, ...]:
    """Return the squares of a grid that show enough of the breast, row by row from the top.

    Args:
        image: A mammogram.
        size: Side of each square in pixels, 1 to the picture's shorter side.
        step: Pixels from one square to the next, 1 to ``size``; the last of a row or column ends at the picture's edge.
        least_share: Of a square's pixels that must show the breast, above 0 to 1.

    Raises:
        ImageError: If a value is out of its bounds, the grid has more than `MOST_SQUARES`, there is no breast, or it is too small
            for one square.
    """
    shorter = min(image.rows, image.columns)
    if not (1 <= size <= shorter and 1 <= step <= size and 0 < least_share <= 1):
        raise ImageError(
            f"squares of {size} pixels every {step} pixels with {least_share:g} of the breast do not fit a picture of "
            f"{image.columns} columns x {image.rows} rows; the size lies in [1, {shorter}], the step in [1, size], the share in (0, 1]"
        )
    top, left = _grid(image, size, step)
    mask = breast_mask(image)
    total = np.zeros((image.rows + 1, image.columns + 1), np.int32)
    np.cumsum(mask, axis=0, dtype=np.int32, out=total[1:, 1:])
    np.cumsum(total[1:, 1:], axis=1, out=total[1:, 1:])
    rows, columns = top[:, None], left[None, :]
    shown = total[rows + size, columns + size].astype(np.int64) - total[rows, columns + size]
    shown += total[rows, columns].astype(np.int64) - total[rows + size, columns]
    found = np.argwhere(shown >= least_share * size * size)
    if not len(found):
        raise ImageError(
            f"no square of {size} pixels shows {least_share:.0%} of the breast; choose smaller squares or a smaller share"
        )
    _require_few(len(found), size, step)
    return tuple(Region(int(left[column]), int(top[row]), size) for row, column in found)


def tile_all(image: Image, size: int, step: int) -> tuple[Region, ...]:
    """Return all squares of a grid, whatever they show, row by row from the top.

    Args:
        image: Any picture.
        size: Side of each square in pixels, 1 to the picture's shorter side.
        step: Pixels from one square to the next, 1 to ``size``; the last of a row or column ends at the picture's edge.

    Raises:
        ImageError: If a value is out of its bounds, or the grid has more than `MOST_SQUARES`.
    """
    top, left = _grid(image, size, step)
    _require_few(len(top) * len(left), size, step)
    return tuple(Region(int(x), int(y), size) for y in top for x in left)


def _require_few(count: int, size: int, step: int) -> None:
    if count > MOST_SQUARES:
        raise ImageError(
            f"squares of {size} pixels every {step} pixels are {count}, more than {MOST_SQUARES}; choose a larger step"
        )


def _grid(image: Image, size: int, step: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the top rows and the left columns of a grid's squares."""
    shorter = min(image.rows, image.columns)
    if not (1 <= size <= shorter and 1 <= step <= size):
        raise ImageError(
            f"squares of {size} pixels every {step} pixels do not fit a picture of {image.columns} columns x {image.rows} rows; the size "
            f"lies in [1, {shorter}], the step in [1, size]"
        )
    top, left = (
        np.unique(np.append(np.arange(0, length - size + 1, step), length - size)).astype(np.int64)
        for length in (image.rows, image.columns)
    )
    return top, left


def _reduce(pixels: Floats, factor: int) -> Floats:
    """Return means of squares of ``factor`` pixels; what is left over at the right and at the bottom is dropped."""
    rows, columns = (max(1, length // factor) for length in pixels.shape)
    height, width = min(factor, pixels.shape[0]), min(factor, pixels.shape[1])
    blocks = pixels[: rows * height, : columns * width].reshape(rows, height, columns, width)
    return np.asarray(blocks.mean(axis=(1, 3)))


def _edge_of_dark(pixels: Floats) -> float:
    """Return the middle between the mean of what Otsu's threshold leaves in the dark, and that threshold; infinity for one grey."""
    counts, edges = np.histogram(pixels, _LEVELS)
    middles = (edges[1:] + edges[:-1]) / 2
    below, sums = counts.cumsum(), (counts * middles).cumsum()
    above = below[-1] - below
    parted = (below > 0) & (above > 0)
    if pixels.min() == pixels.max() or not parted.any():
        return np.inf
    weight = np.where(parted, below * above, 1)
    variance = np.where(parted, (sums[-1] * below / below[-1] - sums) ** 2 / weight, -1.0)
    best = np.flatnonzero(
        variance >= variance.max() * (1 - 1e-9)
    )  # levels that do not occur tie: take the middle of them
    threshold = float(middles[best].mean())
    dark = float(sums[best[0]] / below[best[0]])
    return (dark + threshold) / 2
