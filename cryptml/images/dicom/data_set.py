"""A DICOM file's data set up to its pixels."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pydicom import config as pydicom_config
from pydicom.filereader import dcmread, read_dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from cryptml.errors import ImageError
from cryptml.images.dicom.syntaxes import SYNTAXES
from cryptml.images.limits import MAX_FILE_BYTES

if TYPE_CHECKING:
    from pydicom import Dataset

PREAMBLE_BYTES = 132
"""Of a file: 128 of anything, and the letters DICM (PS3.10 7.1)."""

MOST_INFLATED_BYTES = MAX_FILE_BYTES
"""Of a deflated data set."""

_PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)


@dataclass(frozen=True)
class DataSet:
    """A file's data set up to its pixels.

    Attributes:
        dataset: Without pixel data.
        syntax: One of `SYNTAXES`; None where the file does not say.
        storage: What kind of object the file says it holds (SOP class); None where it does not say.
        stream: At the first element that was not read.
        implicit: Whether elements do not say their value representation.
        little: Whether the file is little endian.
    """

    dataset: Dataset
    syntax: UID | None
    storage: UID | None
    stream: BinaryIO
    implicit: bool
    little: bool


def open_data_set(file: Path) -> DataSet:
    """Read a file's data set up to its pixels, if it has any.

    Raises:
        ImageError: If its transfer syntax is not read here.
    """
    pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
    stream: BinaryIO = file.open("rb")
    stream.seek(PREAMBLE_BYTES if stream.read(PREAMBLE_BYTES)[128:] == b"DICM" else 0)
    meta = read_dataset(stream, is_implicit_VR=False, is_little_endian=True, stop_when=_is_beyond_meta)
    syntax, storage = (_uid(meta.get(keyword)) for keyword in ("TransferSyntaxUID", "MediaStorageSOPClassUID"))
    if syntax is not None and syntax not in SYNTAXES:
        raise ImageError(
            f"the transfer syntax {str(syntax.name)[:64]!r} cannot be decoded here; export the picture uncompressed or RLE lossless"
        )
    if syntax == DeflatedExplicitVRLittleEndian:
        stream = _inflated(stream)
        dataset = read_dataset(stream, is_implicit_VR=False, is_little_endian=True, stop_when=_is_pixels)
        return DataSet(dataset, syntax, storage, stream, implicit=False, little=True)
    stream.seek(0)
    dataset = dcmread(stream, stop_before_pixels=True, force=True)
    implicit, little = dataset.original_encoding
    return DataSet(dataset, syntax, storage, stream, implicit=bool(implicit), little=bool(little))


def _uid(value: object) -> UID | None:
    return UID(str(value)) if value else None


def _is_beyond_meta(tag: int, _vr: str | None, _length: int) -> bool:
    return int(tag) >> 16 != 2


def _is_pixels(tag: int, _vr: str | None, _length: int) -> bool:
    return int(tag) in _PIXEL_TAGS


def _inflated(stream: BinaryIO) -> BinaryIO:
    """The data set of a deflated file from here on, inflated under a limit (PS3.5 A.5)."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(stream.read(), MOST_INFLATED_BYTES)
    if inflater.unconsumed_tail:
        raise ImageError(f"the deflated data set has more than {MOST_INFLATED_BYTES} bytes; export it uncompressed")
    return io.BytesIO(data)
