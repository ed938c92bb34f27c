"""What a file says of its pictures, before one is decoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Description:
    """Pictures of one file.

    Attributes:
        source: How they are encoded, for example ``"DICOM, 16 bits"``.
        rows: Height in pixels, as they are stored.
        columns: Width.
        frames: How many there are, at least 1.
        view: Of a mammogram, for example ``"CC"`` or ``"MLO"``; None where the file does not say.
        laterality: ``"L"`` or ``"R"``; None where the file does not say.
    """

    source: str
    rows: int
    columns: int
    frames: int
    view: str | None
    laterality: str | None
