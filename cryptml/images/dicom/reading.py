"""A DICOM file's frames as grey pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cryptml.errors import ImageError
from cryptml.images.description import Description
from cryptml.images.dicom.attributes.allow_list import MOST_LISTED, refused
from cryptml.images.dicom.elements import word
from cryptml.images.dicom.frame_values import FrameValues
from cryptml.images.dicom.grey_scale import grey_levels
from cryptml.images.dicom.header import Header, check_presentation, pixel_aspect, read_header
from cryptml.images.dicom.names import name_of
from cryptml.images.dicom.pixel_data import PixelData, open_pixel_data
from cryptml.images.dicom.syntaxes import LOSSY
from cryptml.images.dicom.views import view_and_laterality
from cryptml.images.image import Floats
from cryptml.images.raster.channels import grey_of
from cryptml.images.square import make_square

LEAST_USE = 1 / 8
"""Of the range of more than 8 stored bits, that the values of a picture without a window span: less says that Bits Stored is wrong."""


@dataclass(frozen=True)
class DicomFile:
    """A file that holds pictures, checked but for its pixels.

    Attributes:
        description: Of its pictures.
        header: Of its pixels.
        pixels: Where they lie.
    """

    description: Description
    header: Header
    pixels: PixelData


def open_dicom(file: Path) -> DicomFile:
    """Read what a file says of its pictures.

    Raises:
        NoPicture: If it holds none.
        ImageError: If it holds none that is read here.
    """
    pixels = open_pixel_data(file)
    header = read_header(pixels.dataset)
    check_presentation(pixels.dataset, header)
    pixels.check_frames(header.frames)
    view, laterality = view_and_laterality(pixels.dataset)
    source = f"DICOM, {header.stored} bits"
    return DicomFile(Description(source, header.rows, header.columns, header.frames, view, laterality), header, pixels)


def read_frame(opened: DicomFile, place: int) -> tuple[Floats, str]:
    """Return a frame's grey levels, with square pixels.

    Args:
        opened: By `open_dicom`.
        place: Of the frame, from 0.

    Returns:
        float32 (rows, columns), values in [0, 1]; and how the picture was encoded.

    Raises:
        ImageError: If an attribute is not implemented here, a transformation malformed, or the pixels contradict the header.
    """
    dataset, header, source = opened.pixels.dataset, opened.header, opened.description.source
    unknown = refused(dataset, [place])
    if unknown:
        more = f", and {len(unknown) - MOST_LISTED} more" if len(unknown) > MOST_LISTED else ""
        raise ImageError(
            f"{'; '.join(unknown[:MOST_LISTED])}{more}: this would change the picture, and is not read here; export the picture without it"
        )
    frame = FrameValues(dataset, place, header.frames)
    aspect = pixel_aspect(dataset, frame)
    if header.samples == 3:
        lossy = opened.pixels.syntax in LOSSY or word(dataset, "LossyImageCompression") == "01"
        return make_square(grey_of(opened.pixels.frame(place, header), 255, lossy=lossy), aspect), source
    levels = grey_levels(frame, dataset, header)
    stored = _stored(opened.pixels.frame(place, header), header)
    if levels.by_bits:
        _check_use(stored, header)
    grey = levels.grey[stored.places]
    if levels.by_table:
        _check_shown(grey, stored)
    if stored.padding is not None:
        grey[stored.padding] = 0
    clipped = f", {stored.beyond} values beyond them clipped" if stored.beyond else ""
    return make_square(grey, aspect), f"{source}{clipped}"


@dataclass(frozen=True)
class _Stored:
    """Cells as values.

    Attributes:
        places: Of each pixel's value among those that the stored bits can hold, from 0.
        padding: Which pixels are no picture; None where there is no padding.
        beyond: How many pixels hold a value beyond the stored bits, and got the nearest that they hold.
    """

    places: npt.NDArray[np.int32]
    padding: npt.NDArray[np.bool_] | None
    beyond: int


def _stored(cells: npt.NDArray[Any], header: Header) -> _Stored:
    """Return the values that cells hold.

    Bits above the stored ones are taken for more of the value, which is then clipped: cutting them off would wrap values around.

    Raises:
        ImageError: If anything lies below the stored bits.
    """
    bits = cells.dtype.itemsize
    shift = header.high - header.stored + 1
    values = cells.view(f"i{bits}" if header.signed else f"u{bits}").astype(np.int32)
    least, most = header.stored_range
    if shift:
        if (cells & ((1 << shift) - 1)).any():
            raise ImageError(
                f"{name_of('BitsStored')} is {header.stored} and {name_of('HighBit')} {header.high}, and pixels hold something below "
                "these bits; export the file again"
            )
        values >>= shift
    padding = _padding(values, header)
    if header.signed and header.high < 8 * bits - 1:
        values = _with_sign(values, header)
        again = _padding(values, header)  # a padding value may be written with its sign or without, as other values
        padding = again if padding is None or again is None else padding | again
    outside = (values < least) | (values > most)
    if padding is not None:
        outside &= ~padding
    beyond = int(outside.sum())
    if beyond or padding is not None:
        values = np.clip(values, least, most)
    return _Stored(values - least, padding, beyond)


def _padding(values: npt.NDArray[np.int32], header: Header) -> npt.NDArray[np.bool_] | None:
    if header.padding is None:
        return None
    return np.asarray((values >= header.padding[0]) & (values <= header.padding[1]))


def _with_sign(values: npt.NDArray[np.int32], header: Header) -> npt.NDArray[np.int32]:
    """Return signed values whose sign some devices do not carry into the bits above: then no value is below 0.

    Raises:
        ImageError: If that cannot be told from values beyond the stored bits.
    """
    beyond = values > header.stored_range[1]
    if values.min(initial=0) < 0 or not beyond.any():
        return values
    if values.max(initial=0) >= 1 << header.stored:
        raise ImageError(
            f"{name_of('BitsStored')} is {header.stored}, and pixels hold something above these bits: which of them are negative cannot be "
            "told; export the file again"
        )
    return np.where(beyond, values - (1 << header.stored), values)


def _check_shown(grey: Floats, stored: _Stored) -> None:
    """Refuse a table that makes one grey of all pixels: it was made for other values, or its first one is misread."""
    shown = slice(None) if stored.padding is None else ~stored.padding
    values, greys = stored.places[shown], grey[shown]
    if values.size and greys.min() == greys.max() and values.min() != values.max():
        raise ImageError(
            "the table makes one grey of all pixels, though their values differ; correct it, or export the file again"
        )


def _check_use(stored: _Stored, header: Header) -> None:
    """Refuse a picture that would be nearly of one grey: without a window, Bits Stored says what is white, and is often wrong."""
    shown = stored.places if stored.padding is None else stored.places[~stored.padding]
    if header.stored <= 8 or not shown.size or shown.min() == shown.max():
        return
    used = int(shown.max()) - int(shown.min())
    if used < (1 << header.stored) * LEAST_USE - 1:
        raise ImageError(
            f"{name_of('BitsStored')} is {header.stored}, and the values span {used}, with no window that says what is white: the picture "
            "would be nearly of one grey; export it with a window, or with the bits that it uses"
        )
