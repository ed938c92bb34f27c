"""What a compressed frame says of itself, before it is decoded: JPEG, JPEG-LS and JPEG 2000 (ISO 10918-1 B.2, 14495-1 C.2, 15444-1 A.5)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from cryptml.errors import ImageError

_FRAME_MARKERS = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
_SIZ = struct.Struct(">HHIIIIIIIIH")

BASELINE, EXTENDED, LOSSLESS, LS = 0xC0, 0xC1, 0xC3, 0xF7
"""Frame markers of the JPEG processes that are decoded here."""


@dataclass(frozen=True)
class CodeStream:
    """A compressed frame's own header.

    Attributes:
        process: JPEG's frame marker; None for JPEG 2000.
        rows: Height.
        columns: Width.
        samples: Channels.
        precision: Bits of a value.
        signed: Whether values are; JPEG does not say, and then it is False.
    """

    process: int | None
    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool


def read_code_stream(frame: bytes) -> CodeStream:
    """Return what a compressed frame says of itself.

    Raises:
        ImageError: If it is neither JPEG, JPEG-LS nor JPEG 2000, or its header is cut off.
    """
    try:
        if frame.startswith(_JPEG_2000):
            return _jpeg_2000(frame)
        if frame.startswith(_JPEG):
            return _jpeg(frame)
    except (struct.error, IndexError) as error:
        raise ImageError("a compressed frame ends within its header; export the file again") from error
    raise ImageError("a compressed frame does not begin as JPEG, JPEG-LS or JPEG 2000 does; export the file again")


def _jpeg(frame: bytes) -> CodeStream:
    place = 2
    while True:
        if frame[place] != 0xFF:
            raise ImageError("a JPEG frame has no marker where one is needed; export the file again")
        marker = frame[place + 1]
        place += 1 if marker == 0xFF else 2
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            continue
        (length,) = struct.unpack_from(">H", frame, place)
        if marker in _FRAME_MARKERS:
            precision, rows, columns, samples = struct.unpack_from(">BHHB", frame, place + 2)
            return CodeStream(marker, rows, columns, samples, precision, signed=False)
        place += max(2, length)


def _jpeg_2000(frame: bytes) -> CodeStream:
    _, _, right, bottom, left, top, _, _, _, _, samples = _SIZ.unpack_from(frame, 4)
    depths = {frame[4 + _SIZ.size + 3 * each] for each in range(min(samples, 4))}
    if len(depths) != 1:
        raise ImageError("a JPEG 2000 frame has channels of different depths, which is not read")
    depth = depths.pop()
    return CodeStream(None, bottom - top, right - left, samples, (depth & 0x7F) + 1, signed=bool(depth & 0x80))
