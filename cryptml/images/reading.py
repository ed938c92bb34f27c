"""Files to pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import numpy as np

from cryptml.errors import ImageError
from cryptml.images.decoding.pool import DECODERS
from cryptml.images.description import Description
from cryptml.images.frames import FrameChoice
from cryptml.images.image import Floats, Image, image_from_array
from cryptml.images.kinds import kind_of


def load_image(path: str | PathLike[str], frame: FrameChoice | None = None) -> Image:
    """Read a DICOM, PNG, JPEG, TIFF, BMP or PGM file; its content decides which, not its name.

    Grey levels become [0, 1] by one rule a format:

    - PNG, JPEG, TIFF, BMP and PGM: divided by the largest value of their bit depth. Colour is read where there is none in it.
      The Exif orientation is applied; colour profiles and gamma are not.
    - DICOM: by the transformations of the standard, see `cryptml.images.dicom`. An attribute that could change the
      picture, and is not implemented, refuses the file by its name.

    The file is decoded in a process of its own, within limits of memory and time (`cryptml.images.limits`).

    Args:
        path: Of the file.
        frame: Which frame of several, or their brightest values; None for a file of one.

    Returns:
        The picture, at most ``MAX_PIXELS`` large.

    Raises:
        ImageError: If the file is missing, a folder, empty, larger than ``MAX_FILE_BYTES``, of another format, truncated, in
            colour, of several frames and none was chosen, declared larger than ``MAX_PIXELS``, without pixel data, or compressed in a way
            that cannot be decoded here; or if its choice is ``all``.
    """
    file = Path(path)
    with _named(file):
        kind_of(file)  # before anything is started for it
        if frame is None:
            return DECODERS.read(file, None)
        if not frame.is_one:
            raise ImageError("one picture is needed; choose one of its frames, or their brightest values")
        [places] = DECODERS.places(file, frame)
        return DECODERS.read(file, places)


def picture_of(picture: str | PathLike[str] | Image | Floats) -> Image:
    """Return a picture as it is, of (rows, columns) pixels in [0, 1], or of a file.

    Raises:
        ImageError: As `load_image` and `image_from_array`.
    """
    if isinstance(picture, Image):
        return picture
    return image_from_array(picture) if isinstance(picture, np.ndarray) else load_image(picture)


def load_frames(path: str | PathLike[str], frame: FrameChoice | None = None) -> Iterator[tuple[int | None, Image]]:
    """Read the chosen pictures of a file, one after another: only one is held in memory here.

    Args:
        path: See `load_image`.
        frame: See `load_image`; ``all`` gives several pictures.

    Returns:
        The number of the frame, from 1, and the picture; None for the only picture of a file, or one made of several frames.

    Raises:
        ImageError: See `load_image`.
    """
    file = Path(path)
    if frame is None or frame.projected:
        yield None, load_image(file, frame)
        return
    with _named(file):
        kind_of(file)
        chosen = DECODERS.places(file, frame)
    for places in chosen:
        with _named(file):
            yield places[0] + 1, DECODERS.read(file, places)


def describe_file(path: str | PathLike[str]) -> Description:
    """Return what a file holds, before a picture of it is decoded.

    Raises:
        NoPicture: If that is nothing that people look at.
        ImageError: See `load_image`; what lies in the pixels and the functional groups shows when they are read.
    """
    file = Path(path)
    with _named(file):
        kind_of(file)
        return DECODERS.describe(file)


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Let every refusal say which file it is of."""
    try:
        yield
    except ImageError as error:
        raise type(error)(f"{file}: {error}") from error
