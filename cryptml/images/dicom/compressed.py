"""Compressed frames to cells, through pydicom and GDCM."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import UID, RLELossless

from cryptml.errors import ImageError
from cryptml.images.codestreams import BASELINE, EXTENDED, LS, read_code_stream
from cryptml.images.dicom.header import Header
from cryptml.images.dicom.names import name_of
from cryptml.images.dicom.syntaxes import JPEG, JPEG_2000
from cryptml.images.raster.jpeg_damage import DAMAGED, complaints

Cells = npt.NDArray[Any]


def decode(coded: bytes, syntax: UID, header: Header) -> Cells:
    """Return a compressed frame's cells.

    Args:
        coded: Of one frame.
        syntax: Of the file, none of the uncompressed ones.
        header: Of the file.

    Returns:
        uint8 or uint16, (rows, columns), or RGB (rows, columns, 3) where the header has three samples.

    Raises:
        ImageError: If the bytes contradict the header, or cannot be decoded exactly here.
    """
    if syntax != RLELossless:
        return _decode(coded, syntax, header, _container(coded, syntax, header))
    # Runs expand up to 64 times, so a frame of runs longer than its own pixels is an attack, not a picture.
    if len(coded) > 2 * header.frame_bytes + 4096:
        raise ImageError(
            f"{len(coded)} bytes of runs claim to be {header.columns} columns x {header.rows} rows; export it again"
        )
    return _decode(coded, syntax, header, header.allocated)


def _container(coded: bytes, syntax: UID, header: Header) -> int:
    """Check a compressed frame's own header against the file's, and return the bits of a decoded cell."""
    stream = read_code_stream(coded)
    if syntax in JPEG and stream.process not in JPEG[syntax]:
        process = "JPEG 2000" if stream.process is None else f"JPEG process SOF{stream.process - 0xC0}"
        raise ImageError(f"a frame of the transfer syntax {syntax.name} is of the {process}; export the file again")
    if syntax in JPEG_2000 and stream.process is not None:
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
        damaged = syntax in JPEG and complained()
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
        planar_configuration=0 if syntax in (*JPEG, *JPEG_2000) else int(header.planar),  # code streams say themselves
        bits_allocated=allocated,
        bits_stored=stored,
        pixel_representation=int(header.signed),
        pixel_keyword="PixelData",
    )
