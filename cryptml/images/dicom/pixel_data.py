"""Where the pixels of a DICOM file lie, and its frames, one at a time."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from pydicom.encaps import get_frame, parse_basic_offsets, parse_fragments
from pydicom.pixels import convert_color_space
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from cryptml.errors import ImageError, NoPicture, counted
from cryptml.images.dicom.compressed import Cells, decode
from cryptml.images.dicom.data_set import DataSet, open_data_set
from cryptml.images.dicom.header import Header
from cryptml.images.dicom.names import name_of
from cryptml.images.dicom.syntaxes import NATIVE

if TYPE_CHECKING:
    from pydicom import Dataset

_BEGINNINGS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
"""Of code streams: JPEG and JPEG-LS, JPEG 2000."""

_PIXEL_REPRESENTATIONS = (b"OB", b"OW")
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
        return decode(coded, self.syntax, header)

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
                f"the pixel data hold {counted(held, 'frame')} in {counted(count, 'fragment')}, and "
                f"{name_of('NumberOfFrames')} says {frames}; export it again"
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
                f"the pixel data have {length} bytes where {counted(header.frames, 'frame')} of {header.frame_bytes} bytes need {needed}: "
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


def open_pixel_data(file: Path) -> PixelData:
    """Read a file's data set up to its pixels, and find these.

    Raises:
        NoPicture: If it has none.
        ImageError: If its transfer syntax is not read here, or contradicts the pixels.
    """
    return _at_pixels(open_data_set(file))


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


def _shaped(cells: Cells, header: Header, *, planar: bool) -> Cells:
    if header.samples == 1:
        return cells.reshape(header.rows, header.columns)
    if planar:
        return cells.reshape(3, header.rows, header.columns).transpose(1, 2, 0)
    return cells.reshape(header.rows, header.columns, 3)
