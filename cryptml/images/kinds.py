"""What a file is, by its content."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path

from cryptml.errors import ImageError, NoPicture
from cryptml.images.limits import ACCEPTED, MAX_FILE_BYTES

HEAD_BYTES = 132


class Kind(Enum):
    """Which decoder reads a file."""

    DICOM = "DICOM"
    RASTER = "raster"


_RASTER = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|II[*+]\0|MM\0[*+]|BM|P[25][\s#]", re.DOTALL)
_WITHOUT_PREAMBLE = re.compile(rb"[\x02\x08]\0[\0\x01\x05\x08\x12-\x18]\0(?:[A-Z]{2}|[\0-\xff]\0\0\0)", re.DOTALL)
"""A first element of the groups 2 or 8, which are the first of a DICOM file that lacks its preamble."""


def kind_of(file: Path) -> Kind:
    """Return what a file is that is worth opening; its name does not matter.

    Raises:
        NoPicture: If it is of another format.
        ImageError: If it is missing, no file, empty or too large.
    """
    head = _first_bytes(file)
    if head[128:132] == b"DICM":
        return Kind.DICOM
    if _RASTER.match(head):
        return Kind.RASTER
    if _WITHOUT_PREAMBLE.match(head):
        return Kind.DICOM
    raise NoPicture(f"it is neither DICOM, PNG, JPEG, TIFF, BMP nor PGM by its content; {ACCEPTED}")


def _first_bytes(file: Path) -> bytes:
    try:
        if not file.exists():
            raise ImageError("it does not exist; check the path")
        if not file.is_file():
            raise ImageError(f"it is not a file; {ACCEPTED}")
        size = file.stat().st_size
        if size == 0:
            raise ImageError("it is empty (0 bytes); export it again")
        if size > MAX_FILE_BYTES:
            raise ImageError(f"it has {size} bytes, over the limit of {MAX_FILE_BYTES}; {ACCEPTED}")
        with file.open("rb") as stream:
            return stream.read(HEAD_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise ImageError(f"it cannot be opened ({error}); check the path and its permissions") from error
