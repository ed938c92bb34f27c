"""Pictures of three channels that hold no colour."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cryptml.errors import ImageError
from cryptml.images.image import Floats

LOSSY_TOLERANCE = 4 / 255
"""Between the channels of one pixel, where a lossy compression has rounded them apart."""


def grey_of(channels: npt.NDArray[Any], white: int, *, lossy: bool) -> Floats:
    """Return the grey of a picture whose channels are equal.

    Args:
        channels: Unsigned (rows, columns, 3), red, green and blue.
        white: Their greatest value.
        lossy: Whether channels may differ by `LOSSY_TOLERANCE`; the mean is taken then.

    Returns:
        float32 (rows, columns), values in [0, 1].

    Raises:
        ImageError: If there is colour in the picture.
    """
    red = channels[..., 0]
    least, most = np.minimum(red, channels[..., 1]), np.maximum(red, channels[..., 1])
    np.minimum(least, channels[..., 2], out=least)
    np.maximum(most, channels[..., 2], out=most)
    apart = int((most - least).max())
    if apart > (LOSSY_TOLERANCE * white if lossy else 0):
        raise ImageError(
            f"the picture has colour: the channels of a pixel differ by {apart} of {white}; save it in grey if its colours say nothing"
        )
    if apart == 0:
        return red.astype(np.float32) / np.float32(white)
    return np.asarray(channels.mean(axis=2, dtype=np.float32) / np.float32(white))
