"""How large a picture may be, what reading it may cost, and what is accepted at all."""

from __future__ import annotations

from cryptml.errors import ImageError

MAX_PIXELS = 64 * 2**20
"""Largest picture that is decoded, in pixels as its header declares them (large mammograms have some 30 million)."""

MAX_FRAMES = 10_000
"""Most pictures of one file; tomosynthesis has some hundred."""

MAX_FILE_BYTES = 512 * 2**20
"""Largest file that is opened, in bytes."""

ADDRESS_BYTES = 3 * 2**30
"""Address space of the process that decodes: a picture of `MAX_PIXELS` takes some 2 GiB where it is compressed."""

READ_SECONDS = 120.0
"""For reading one picture; its process is replaced after it."""

ACCEPTED = "give a grey DICOM, PNG, JPEG, TIFF, BMP or PGM picture"


def check_declared(columns: int, rows: int) -> None:
    """Refuse a picture by the size that its header declares, before anything is decoded."""
    if columns < 1 or rows < 1 or columns * rows > MAX_PIXELS:
        raise ImageError(
            f"the header declares {columns} columns x {rows} rows, outside 1 to {MAX_PIXELS} pixels; {ACCEPTED}"
        )
