"""PNG and PGM files, through Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cryptml.errors import ImageError
from cryptml.images.limits import ACCEPTED, MAX_PIXELS, check_declared

_GREY_MODES = {"1": (1, 1), "L": (255, 8), "I;16": (65535, 16), "I": (65535, 16)}
"""Pillow's grey modes: the value of white and the bits that the description names."""


def read_grey(file: Path) -> tuple[npt.NDArray[Any], str]:
    """Decode a PNG or PGM file with Pillow."""
    import PIL.Image

    try:
        picture = PIL.Image.open(file, formats=("PNG", "PPM"))
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f"the header declares more than the limit of {MAX_PIXELS} pixels; {ACCEPTED}") from error
    with picture:
        check_declared(*picture.size)
        if picture.mode not in _GREY_MODES or "transparency" in picture.info:
            raise ImageError(f"the picture has colour or transparency (mode {picture.mode}); {ACCEPTED}")
        if getattr(picture, "n_frames", 1) != 1:
            raise ImageError(f"the picture is animated; {ACCEPTED}")
        white, bits = _GREY_MODES[picture.mode]
        values = np.asarray(picture, dtype=np.float32) / np.float32(white)
        name = "PNG" if picture.format == "PNG" else "PGM"
    return values, f"{name}, {bits} bit{'s' if bits > 1 else ''}"
