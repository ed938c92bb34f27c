"""PNG, JPEG, TIFF, BMP and PGM files, through Pillow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

from cryptml.errors import ImageError
from cryptml.images.image import Floats
from cryptml.images.limits import ACCEPTED, MAX_FRAMES, MAX_PIXELS, check_declared
from cryptml.images.raster.channels import grey_of
from cryptml.images.raster.checks import check_deflated, check_opened, check_page, is_white_zero, refuse_other_jpeg
from cryptml.images.raster.jpeg_damage import require_whole

NAMES: Mapping[str, str] = {"PNG": "PNG", "JPEG": "JPEG", "TIFF": "TIFF", "BMP": "BMP", "DIB": "BMP", "PPM": "PGM"}
"""Pillow's formats, and what they are called here."""

_GREY = {"1": (1, 1), "L": (255, 8), "I": (65535, 16), "I;16": (65535, 16), "I;16L": (65535, 16), "I;16B": (65535, 16)}
"""White value and bits of grey modes; Pillow scales PGM of more than 8 bits to 65535 itself."""

_COLOUR = ("RGB", "RGBA", "P", "LA", "PA")


def open_raster(file: Path) -> PIL.Image.Image:
    """Open a file without decoding it.

    Raises:
        ImageError: If it is larger than `MAX_PIXELS`, or holds what Pillow would not read exactly.
    """
    refuse_other_jpeg(file)
    try:
        # As a stream: Pillow maps a file that it opens by name into memory, and so mixes the rows of a TIFF that is turned by 90 degrees.
        picture = PIL.Image.open(file.open("rb"), formats=("PNG", "JPEG", "TIFF", "BMP", "PPM"))
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f"the header declares more than the limit of {MAX_PIXELS} pixels; {ACCEPTED}") from error
    check_declared(*picture.size)
    if picture.format not in NAMES:
        raise ImageError(f"pictures of the format {str(picture.format)[:16]} are not read; {ACCEPTED}")
    check_opened(file, picture)
    return picture


def frames_in(picture: PIL.Image.Image) -> int:
    """Return how many pictures a file holds.

    Raises:
        ImageError: If there are more than `MAX_FRAMES`.
    """
    frames = int(getattr(picture, "n_frames", 1))
    if frames > MAX_FRAMES:
        raise ImageError(f"it holds {frames} pictures, at most {MAX_FRAMES} are read; {ACCEPTED}")
    return frames


def read_raster(file: Path, picture: PIL.Image.Image, place: int) -> tuple[Floats, str]:
    """Decode one picture of a file, turned upright as its Exif orientation says.

    Args:
        file: That holds it.
        picture: By `open_raster`.
        place: From 0.

    Returns:
        float32 (rows, columns), values in [0, 1], and how it was encoded.

    Raises:
        ImageError: If it has colour, transparency, or a number of bits that is not read here, or lacks a part of its data.
    """
    if frames_in(picture) > 1:
        if picture.format != "TIFF":
            raise ImageError(f"the picture is animated; {ACCEPTED}")
        picture.seek(place)
        check_declared(*picture.size)
        check_page(picture)
    name = NAMES[str(picture.format)]
    inverted = is_white_zero(picture) and picture.mode.startswith("I")
    lossy = name == "JPEG"
    check_deflated(file, picture)
    if "transparency" in picture.info:
        raise ImageError(f"the picture has transparency; {ACCEPTED}")
    upright = PIL.ImageOps.exif_transpose(picture)
    if name == "JPEG":
        require_whole(file.read_bytes())
    if upright.mode in _GREY:
        white, bits = _GREY[upright.mode]
        values = np.asarray(upright, dtype=np.float32) / np.float32(white)
        if inverted:  # Pillow does so for 8 bits alone
            values = 1 - values
        return values, f"{name}, {bits} bit{'s' if bits > 1 else ''}"
    if upright.mode in _COLOUR:
        if upright.mode in ("RGBA", "LA", "PA") and np.asarray(upright.getchannel("A")).min() < 255:
            raise ImageError(f"the picture has transparency; {ACCEPTED}")
        return grey_of(np.asarray(upright.convert("RGB")), 255, lossy=lossy), f"{name}, 8 bits"
    raise ImageError(f"the picture is of a kind that is not read (mode {upright.mode}); {ACCEPTED}")
