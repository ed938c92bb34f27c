"""How large a picture may be, and what is accepted at all."""

from __future__ import annotations

from cryptml.errors import ImageError

MAX_PIXELS = 64 * 2**20
"""Largest picture that is decoded, in pixels as its header declares them (large mammograms have some 30 million)."""

MAX_FILE_BYTES = 512 * 2**20
"""Largest file that is opened, in bytes."""

ACCEPTED = "give a grey DICOM, PNG or PGM picture of a single frame"


def check_declared(columns: int, rows: int) -> None:
    """Refuse a picture by the size that its header declares, before anything is decoded."""
    if columns < 1 or rows < 1 or columns * rows > MAX_PIXELS:
        raise ImageError(
            f"the header declares {columns} columns x {rows} rows, outside 1 to {MAX_PIXELS} pixels; {ACCEPTED}"
        )
