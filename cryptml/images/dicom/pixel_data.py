"""Frames of a DICOM file, one at a time: raw cells as the file holds them, through pydicom and GDCM where they are compressed."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt
from pydicom import config as pydicom_config
from pydicom.encaps import encapsulate, get_frame, parse_basic_offsets, parse_fragments
from pydicom.filereader import dcmread, read_dataset
from pydicom.pixels import convert_color_space, get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from cryptml.errors import ImageError, NoPicture
from cryptml.images.dicom.codestreams import BASELINE, EXTENDED, LOSSLESS, LS, read_code_stream
from cryptml.images.dicom.header import Header
from cryptml.images.dicom.names import name_of
from cryptml.images.jpeg_damage import DAMAGED, complaints
from cryptml.images.limits import MAX_FILE_BYTES

if TYPE_CHECKING:
    from pydicom import Dataset

Cells = npt.NDArray[Any]

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
_JPEG: Mapping[str, tuple[int, ...]] = {
    JPEGBaseline8Bit: (BASELINE,),
    JPEGExtended12Bit: (BASELINE, EXTENDED),
    JPEGLossless: (LOSSLESS,),
    JPEGLosslessSV1: (LOSSLESS,),
    JPEGLSLossless: (LS,),
    JPEGLSNearLossless: (LS,),
}
_JPEG_2000 = (JPEG2000Lossless, JPEG2000)
SYNTAXES: tuple[UID, ...] = (*NATIVE, RLELossless, *(UID(each) for each in _JPEG), *_JPEG_2000)
"""Transfer syntaxes that are read; others are refused by name."""

LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000)

PREAMBLE_BYTES = 132
"""Of a file: 128 of anything, and the letters DICM (PS3.10 7.1)."""

MOST_INFLATED_BYTES = MAX_FILE_BYTES
"""Of a deflated data set."""

_BEGINNINGS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
"""Of code streams: JPEG and JPEG-LS, JPEG 2000."""

_PIXEL_REPRESENTATIONS = (b"OB", b"OW")
_PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class PixelData:
    """A file's data set, and where its pixels lie.

    Attributes:
        dataset: Without pixel data.
        syntax: One of `SYNTAXES`.
        stream: At the first byte of the pixel data's value.
        length: Of the value; None where it is encapsulated.
        little: Whether the file is little endian.
        words: Whether 8-bit cells were written as words of 16 bits.
    """

    dataset: Dataset
    syntax: UID
    stream: BinaryIO
    length: int | None
    little: bool
    words: bool

    def frame(self, place: int, header: Header) -> Cells:
        """Return a frame's cells as they were stored.

        Args:
            place: From 0.
            header: Of the data set.

        Returns:
            uint8 or uint16, (rows, columns), or (rows, columns, 3) where the header has three samples; RGB then.

        Raises:
            ImageError: If the bytes do not suffice, contradict the header, or cannot be decoded exactly here.
        """
        if self.length is not None:
            return self._native(place, header, self.length)
        beginning = self.stream.tell()
        offsets = _extended_offsets(self.dataset)
        coded = get_frame(self.stream, place, extended_offsets=offsets, number_of_frames=header.frames)
        self.stream.seek(beginning)
        if self.syntax == RLELossless:
            # Runs expand up to 64 times, so a frame of runs longer than its own pixels is an attack, not a picture.
            if len(coded) > 2 * header.frame_bytes + 4096:
                raise ImageError(
                    f"{len(coded)} bytes of runs claim to be {header.columns} columns x {header.rows} rows; export it again"
                )
            allocated = header.allocated
        else:
            allocated = _container(coded, self.syntax, header)
        return _decode(coded, self.syntax, header, allocated)

    def check_frames(self, frames: int) -> None:
        """Refuse encapsulated pixel data that hold another number of frames than the header says.

        Raises:
            ImageError: Naming the attribute.
        """
        if self.length is not None:
            return
        beginning = self.stream.tell()
        offsets = parse_basic_offsets(self.stream, endianness="<")
        count, places = parse_fragments(self.stream, endianness="<")
        extended = _extended_offsets(self.dataset)
        held = len(offsets) or (len(extended[0]) // 8 if extended else 0)
        if self.syntax == RLELossless:  # a fragment each
            held = count
        if not held:
            held = sum(map(self._begins_a_frame, places)) or frames
        self.stream.seek(beginning)
        if held != frames or count < frames:
            raise ImageError(
                f"the pixel data hold {held} frames in {count} fragments, and {name_of('NumberOfFrames')} says {frames}; export it again"
            )

    def _begins_a_frame(self, place: int) -> bool:
        self.stream.seek(place + 8)
        return self.stream.read(4).startswith(_BEGINNINGS)

    def _native(self, place: int, header: Header, length: int) -> Cells:
        needed = header.frame_bytes * header.frames
        if header.photometric == "YBR_FULL_422":
            raise ImageError(
                f"{name_of('PhotometricInterpretation')}: YBR_FULL_422 is read where it is compressed alone"
            )
        if length < needed:
            raise ImageError(
                f"the pixel data have {length} bytes where {header.frames} frames of {header.frame_bytes} bytes need {needed}: "
                "the file is damaged or truncated; export it again"
            )
        if length >= needed + max(2, header.frame_bytes):  # a byte may fill up an odd number
            raise ImageError(
                f"the pixel data have {length} bytes where the header describes {needed}: {name_of('NumberOfFrames')}, "
                f"{name_of('Rows')}, {name_of('Columns')} or {name_of('BitsAllocated')} is wrong; export it again"
            )
        beginning = self.stream.tell()
        first = place * header.frame_bytes
        last = first + header.frame_bytes
        swapped = self.words and not self.little and header.allocated == 8  # two cells in each big-endian word
        begin, end = (first - first % 2, last + last % 2) if swapped else (first, last)
        self.stream.seek(beginning + begin)
        held = self.stream.read(end - begin)
        self.stream.seek(beginning)
        if len(held) < end - begin:
            raise ImageError("the file is damaged or truncated: it ends within its pixel data; export it again")
        if swapped:
            held = np.frombuffer(held, ">u2").astype("<u2").tobytes()[first - begin : last - begin]
        if header.allocated == 8:
            cells = _shaped(np.frombuffer(held, np.uint8), header, planar=header.planar)
            return convert_color_space(cells, "YBR_FULL", "RGB") if header.photometric == "YBR_FULL" else cells
        # In this machine's order from here on: what follows looks at the same bytes as signed numbers.
        cells = np.frombuffer(held, "<u2" if self.little else ">u2").astype(np.uint16, copy=False)
        return _shaped(cells, header, planar=header.planar)


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


def open_pixel_data(file: Path) -> PixelData:
    """Read a file's data set up to its pixels, and find these.

    Raises:
        NoPicture: If it has none.
        ImageError: If its transfer syntax is not read here, or contradicts the pixels.
    """
    return _at_pixels(open_data_set(file))


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


def _at_pixels(opened: DataSet) -> PixelData:
    dataset, syntax, stream = opened.dataset, opened.syntax, opened.stream
    implicit, little = opened.implicit, opened.little
    order = "<" if little else ">"
    head = stream.read(8)
    if len(head) < 8:
        raise _no_pixels(dataset)
    group, element = struct.unpack(f"{order}HH", head[:4])
    # The transfer syntax may say otherwise than the elements are written: no length in bytes is the number that these letters are.
    implicit = head[4:6] not in _PIXEL_REPRESENTATIONS and (implicit or not head[4:6].isalpha())
    words = implicit
    if implicit:
        (length,) = struct.unpack(f"{order}I", head[4:])
    else:
        words = head[4:6] == b"OW"
        (length,) = struct.unpack(f"{order}I", stream.read(4))
    if (group, element) != (0x7FE0, 0x0010):
        raise _no_pixels(dataset)
    encapsulated = length == _UNDEFINED
    if syntax is None:
        if encapsulated:
            raise ImageError(
                "the Transfer Syntax UID (0002,0010) is missing, and the pixel data are compressed; export the file again"
            )
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    if encapsulated != (syntax not in NATIVE):
        kind = "compressed" if encapsulated else "not compressed"
        raise ImageError(f"the pixel data are {kind}, and the transfer syntax is {syntax.name}; export the file again")
    if not encapsulated:
        place = stream.tell()
        there = stream.seek(0, os.SEEK_END) - place
        stream.seek(place)
        if there < length:
            raise ImageError(
                f"the file is damaged or truncated: {there} of {length} bytes of pixel data are there; export it again"
            )
    return PixelData(dataset, syntax, stream, None if encapsulated else length, little, words)


def _no_pixels(dataset: Dataset) -> ImageError:
    if "Rows" in dataset:
        return ImageError("the file holds no integer pixel data, or ends before them; export it again")
    return NoPicture("the file holds no picture: it is another kind of DICOM file, or ends before its pixels")


def _extended_offsets(dataset: Dataset) -> tuple[bytes, bytes] | None:
    found = [dataset.get_item(tag).value if tag in dataset else None for tag in (0x7FE00001, 0x7FE00002)]
    if isinstance(found[0], bytes) and isinstance(found[1], bytes) and found[0]:
        return found[0], found[1]
    return None


def _container(coded: bytes, syntax: UID, header: Header) -> int:
    """Check a compressed frame's own header against the file's, and return the bits of a decoded cell."""
    stream = read_code_stream(coded)
    if syntax in _JPEG and stream.process not in _JPEG[syntax]:
        process = "JPEG 2000" if stream.process is None else f"JPEG process SOF{stream.process - 0xC0}"
        raise ImageError(f"a frame of the transfer syntax {syntax.name} is of the {process}; export the file again")
    if syntax in _JPEG_2000 and stream.process is not None:
        raise ImageError(f"a frame of the transfer syntax {syntax.name} is no JPEG 2000; export the file again")
    if stream.process in (BASELINE, EXTENDED) and stream.precision != 8:
        raise ImageError(
            f"JPEG of {stream.precision} bits ({syntax.name}) cannot be decoded here; export the picture uncompressed or RLE lossless"
        )
    if (stream.rows, stream.columns, stream.samples) != (header.rows, header.columns, header.samples):
        raise ImageError(
            f"a frame says that it has {stream.columns} columns x {stream.rows} rows x {stream.samples}, and the header "
            f"{header.columns} x {header.rows} x {header.samples}; export the file again"
        )
    if not header.stored <= stream.precision <= 16:
        raise ImageError(
            f"a frame says that its values have {stream.precision} bits, and {name_of('BitsStored')} is {header.stored}; export it again"
        )
    if stream.process is None and stream.signed != header.signed:
        raise ImageError(
            f"a frame's values are {'signed' if stream.signed else 'unsigned'}, which {name_of('PixelRepresentation')} contradicts"
        )
    if header.high != header.stored - 1:
        raise ImageError(
            f"{name_of('HighBit')} is {header.high} where compressed values of {header.stored} bits need {header.stored - 1}"
        )
    if stream.process == LS and stream.precision in (6, 7):
        raise ImageError(f"JPEG-LS of {stream.precision} bits cannot be decoded here; export the picture uncompressed")
    return 8 if stream.precision <= 8 else 16


def _decode(coded: bytes, syntax: UID, header: Header, allocated: int) -> Cells:
    # Runs hold whole cells; asked for fewer bits, pydicom would clear those above them, and so wrap values around.
    stored = allocated if syntax == RLELossless else read_code_stream(coded).precision
    with complaints() as complained:
        decoded, found = _decoded(coded, syntax, header, allocated, stored)
        damaged = syntax in _JPEG and complained()
    if damaged:
        raise ImageError(DAMAGED)
    shape = (header.rows, header.columns, 3)[: 3 if header.samples == 3 else 2]
    if decoded.shape != shape or decoded.dtype.kind not in "iu" or decoded.dtype.itemsize * 8 not in (8, 16):
        raise ImageError(
            f"decoding gave an array of shape {decoded.shape} and type {decoded.dtype}; export the file again"
        )
    if header.samples == 3 and found["photometric_interpretation"] != "RGB":
        raise ImageError(f"colour of the kind {header.photometric} cannot be decoded here; give a grey picture")
    return decoded.view(f"u{decoded.dtype.itemsize}")


def _decoded(coded: bytes, syntax: UID, header: Header, allocated: int, stored: int) -> tuple[Cells, dict[str, Any]]:
    return get_decoder(syntax).as_array(
        encapsulate([coded]),
        index=0,
        raw=header.samples == 1,
        as_rgb=True,
        decoding_plugin="pydicom" if syntax == RLELossless else "gdcm",
        rows=header.rows,
        columns=header.columns,
        number_of_frames=1,
        samples_per_pixel=header.samples,
        photometric_interpretation=header.photometric,
        planar_configuration=0
        if syntax in (*_JPEG, *_JPEG_2000)
        else int(header.planar),  # code streams say themselves
        bits_allocated=allocated,
        bits_stored=stored,
        pixel_representation=int(header.signed),
        pixel_keyword="PixelData",
    )


def _shaped(cells: Cells, header: Header, *, planar: bool) -> Cells:
    if header.samples == 1:
        return cells.reshape(header.rows, header.columns)
    if planar:
        return cells.reshape(3, header.rows, header.columns).transpose(1, 2, 0)
    return cells.reshape(header.rows, header.columns, 3)
