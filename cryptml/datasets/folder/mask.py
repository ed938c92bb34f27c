"""A region of interest as a mask file beside a picture."""

from __future__ import annotations

import numpy as np

from cryptml.errors import ImageError
from cryptml.images import Image, Region


def mask_region(mask: Image, image: Image, side: int) -> Region:
    """The square around what a mask shows.

    It is as long as the longer side of the rectangle that bounds all pixels of the mask above 0, at least ``side`` pixels
    and at most the picture's
    shorter side; it lies around the middle of that rectangle, moved inside the picture where it would reach out.

    Args:
        mask: Of the picture's size.
        image: The picture.
        side: Least length, in pixels.

    Raises:
        ImageError: If the mask is of another size, or black.
    """
    if mask.pixels.shape != image.pixels.shape:
        raise ImageError(
            f"its mask has {mask.columns} columns x {mask.rows} rows where the picture has {image.columns} x {image.rows}; "
            "give a mask of the picture's size"
        )
    shown = mask.pixels > 0
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    if rows.size == 0:
        raise ImageError("its mask is black and shows no region; draw one, or leave the mask out")
    top, left = int(rows[0]), int(columns[0])
    height, width = int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left
    size = min(max(height, width, side), image.rows, image.columns)
    x = min(max(left + (width - size) // 2, 0), image.columns - size)
    y = min(max(top + (height - size) // 2, 0), image.rows - size)
    return Region(x, y, size)
