"""What the product makes of a file, beside what the other readers make of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import UID

from cryptml.errors import ImageError
from cryptml.images import FrameChoice, load_image
from tests.images import independent_readers as readers
from tests.images.plain_grey_scale import grey_of_cells, square

ROUNDING = 5e-7
"""Between a grey level in float32 and the same of Python's numbers; stored levels of 16 bits lie 1.5e-5 apart."""


@dataclass(frozen=True)
class Verdict:
    """What came of a file.

    Attributes:
        syntax: Name of its transfer syntax.
        outcome: ``exact``, ``within 1``, ``refused``, ``not decoded`` by the other reader, or ``differs``.
        said: Why it is refused or differs.
    """

    syntax: str
    outcome: str
    said: str = ""


def judge(path: Path) -> Verdict:
    """Read a file by the product and by the others, every frame, and compare."""
    syntax = _syntax(path)
    try:
        first = _read(path, 0)
    except ImageError as error:
        return Verdict(syntax, "refused", str(error).removeprefix(f"{path}: "))
    try:
        decoded = readers.decode(path)
    except readers.CannotReadError as error:
        return Verdict(syntax, "not decoded", str(error))
    worst = "exact"
    for place, cells in enumerate(decoded.frames):
        found = first if place == 0 else _read(path, place)
        outcome, said = _compare(found, decoded, cells, place)
        if outcome == "differs":
            return Verdict(syntax, outcome, said)
        worst = outcome if outcome != "exact" else worst
    return Verdict(syntax, worst)


def _syntax(path: Path) -> str:
    """What a file says that it is written in: a name for the table, and no more."""
    try:
        meta = pydicom.filereader.read_file_meta_info(path)
        return str(UID(str(meta["TransferSyntaxUID"].value)).name)
    except Exception:  # noqa: BLE001 (files of other kinds)
        return "not said"


def _read(path: Path, place: int) -> Any:
    return load_image(path, FrameChoice(place + 1, place + 1, projected=False)).pixels


def _compare(found: Any, decoded: readers.Decoded, cells: readers.Cells, place: int) -> tuple[str, str]:
    attributes = decoded.attributes
    lossy = decoded.syntax in readers.LOSSY
    shape = attributes.whole("0028,0010"), attributes.whole("0028,0011")
    if cells.shape[1] == 3:
        # Grey colour: channels are equal, or as far apart as lossy compression puts them.
        expected = cells.mean(axis=1).reshape(shape) / 255
        around = expected[None] + np.array([[[-1 / 255]], [[1 / 255]]])
    else:
        grey = grey_of_cells(attributes, place)
        different = np.flatnonzero(np.bincount(cells[:, 0]))
        levels = np.zeros((different[-1] + 1, 4))
        for cell in map(int, different):
            levels[cell] = [grey(each) for each in (cell, *_around(cell, attributes))]
        expected = levels[:, 0][cells[:, 0]].reshape(shape)
        around = levels.T[1:, cells[:, 0]].reshape(-1, *shape) if lossy else expected[None]
    expected = square(expected, attributes)
    if found.shape != expected.shape:
        return "differs", f"shape {found.shape}, expected {expected.shape}"
    apart = float(np.abs(found - expected).max())
    if apart <= ROUNDING:
        return "exact", ""
    if lossy and found.shape == shape:
        low, high = around.min(axis=0) - ROUNDING, around.max(axis=0) + ROUNDING
        if ((found >= low) & (found <= high)).all():
            return "within 1", ""
    return "differs", f"frame {place + 1}: by {apart:g} of 1"


def _around(cell: int, attributes: readers.Attributes) -> Iterator[int]:
    """The cell of a value, and those of the values beside it."""
    bits = attributes.whole("0028,0101")
    sign = 1 << (bits - 1) if attributes.whole("0028,0103") == 1 else 0
    value = ((cell % (1 << bits)) ^ sign) - sign  # two's complement
    least, most = -sign, (1 << bits) - 1 - sign
    for near in (value - 1, value, value + 1):
        yield min(max(near, least), most) % (1 << bits)
