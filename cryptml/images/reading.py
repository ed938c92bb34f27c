"""Files to pictures: their content decides which decoder reads them."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cryptml.errors import ImageError
from cryptml.images.dicom import read_dicom
from cryptml.images.grey import read_grey
from cryptml.images.image import Image
from cryptml.images.limits import ACCEPTED, MAX_FILE_BYTES

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_QUIET = threading.Lock()
"""Held while decoding: what silences the decoders is common to all threads, and must be put back in order."""


def load_image(path: str | PathLike[str]) -> Image:
    """Read a DICOM, PNG or PGM file; its content decides which, not its name.

    Grey levels become [0, 1] by one rule a format:

    - PNG and PGM: divided by the largest value of their bit depth.
    - DICOM: the modality transformation (rescale) is applied; then, where the file has a window or a table of values
      of interest (the first is used), its darkest output becomes 0 and its brightest 1; where it has none, the range
      that the stored bits can hold, ``[0, 2^BitsStored - 1]`` or its signed equivalent, carried through the rescale,
      becomes [0, 1]. The range is never taken from the picture's own values, so equal greys stay equal between
      pictures. MONOCHROME1 is inverted last. (DICOM PS3.3, C.7.6.3.1.2, C.11.1 and C.11.2.)

    Returns:
        The picture, at most ``MAX_PIXELS`` large.

    Raises:
        ImageError: If the file is missing, a folder, empty, larger than ``MAX_FILE_BYTES``, of another format,
            truncated, in colour, of several frames, declared larger than ``MAX_PIXELS``, without pixel data,
            compressed in a way that cannot be decoded here, or not finite.
    """
    file = Path(path)
    head = _first_bytes(file)
    read: Callable[[Path], tuple[npt.NDArray[Any], str]]
    if head[128:132] == b"DICM":
        read = read_dicom
    elif head.startswith(_PNG_SIGNATURE) or re.match(rb"P[25]\s", head):
        read = read_grey
    else:
        raise ImageError(f"{file} is neither DICOM, PNG nor PGM by its content; {ACCEPTED}")
    try:
        with _quiet():
            values, source = read(file)
            return Image(np.clip(values, 0, 1).astype(np.float32), source)
    except ImageError as error:
        raise ImageError(f"{file}: {error}") from error
    except Exception as error:  # the decoders raise any kind on damaged bytes, some with those bytes in the text
        raise ImageError(f"{file} is damaged or truncated ({type(error).__name__}); export it again") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the decoders, which warn of odd metadata and put the file's own bytes, names and pixels, into logs."""
    logger = logging.getLogger("pydicom")
    with _QUIET, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        propagate, logger.propagate = logger.propagate, False  # its level is set anew when pydicom is imported
        try:
            yield
        finally:
            logger.propagate = propagate


def _first_bytes(file: Path) -> bytes:
    """The first 132 bytes of a file that is worth opening."""
    try:
        if not file.exists():
            raise ImageError(f"{file} does not exist; check the path")
        if not file.is_file():
            raise ImageError(f"{file} is not a file; {ACCEPTED}")
        size = file.stat().st_size
        if size == 0:
            raise ImageError(f"{file} is empty (0 bytes); export it again")
        if size > MAX_FILE_BYTES:
            raise ImageError(f"{file} has {size} bytes, over the limit of {MAX_FILE_BYTES}; {ACCEPTED}")
        with file.open("rb") as stream:
            return stream.read(132)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise ImageError(f"{file} cannot be opened ({error}); check the path and its permissions") from error
