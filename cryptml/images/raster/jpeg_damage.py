"""Whether a JPEG picture is whole: libjpeg fills in what is missing, and says so on the standard error stream alone."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import JPEGBaseline8Bit

from cryptml.errors import ImageError
from cryptml.images.codestreams import read_code_stream

DAMAGED = "the JPEG data are damaged, and a decoder would fill in what is missing; export the picture again"

_HARMLESS = re.compile(rb"Adobe|JFIF|SOS parameters|extraneous bytes before marker 0xd9")
"""The last: all of the picture is there, and something after it."""

_MOST_BYTES = 1 << 16
_COLOURS = {1: "MONOCHROME2", 3: "YBR_FULL"}


@contextmanager
def complaints() -> Iterator[Callable[[], bool]]:
    """Tell whether libjpeg complained of data that are missing or make no sense."""
    sys.stderr.flush()
    written, kept = os.memfd_create("complaints"), os.dup(2)
    try:
        os.dup2(written, 2)
        yield lambda: _complained(os.pread(written, _MOST_BYTES, 0))
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(written)


def require_whole(data: bytes) -> None:
    """Decode a JPEG file for what libjpeg says of it: Pillow drops that.

    Args:
        data: Of the file, which Pillow has decoded.

    Raises:
        ImageError: If data are missing, or make no sense.
    """
    stream = read_code_stream(data)
    if stream.samples not in _COLOURS:
        return  # refused anyway
    with complaints() as complained:
        with suppress(RuntimeError):  # a kind of JPEG that GDCM does not read, or one so damaged that it complains too
            get_decoder(JPEGBaseline8Bit).as_array(
                encapsulate([data]),
                index=0,
                raw=True,
                decoding_plugin="gdcm",
                rows=stream.rows,
                columns=stream.columns,
                number_of_frames=1,
                samples_per_pixel=stream.samples,
                photometric_interpretation=_COLOURS[stream.samples],
                planar_configuration=0,
                bits_allocated=8,
                bits_stored=8,
                pixel_representation=0,
                pixel_keyword="PixelData",
            )
        damaged = complained()
    if damaged:
        raise ImageError(DAMAGED)


def _complained(said: bytes) -> bool:
    return any(line.strip() and not _HARMLESS.search(line) for line in said.splitlines())
