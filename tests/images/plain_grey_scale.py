"""Grey levels of single values, written plainly from the standard (DICOM PS3.3 C.7.6.3.1, C.7.6.16.2.10, C.11.1, C.11.2).

A second implementation beside `cryptml.images.dicom.grey_scale`: Python's own numbers, one value after another, attributes as
``dcmdump`` prints them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.images.independent_readers import Attributes

Curve = Callable[[float], float]
Floats = npt.NDArray[Any]


def grey_of_cells(attributes: Attributes, frame: int = 0) -> Callable[[int], float]:
    """Return what makes the grey level, in [0, 1], of a cell's unsigned content.

    Args:
        attributes: Of the file.
        frame: Place of the frame, from 0.
    """
    stored, high = attributes.whole("0028,0101"), attributes.whole("0028,0102")
    signed = attributes.whole("0028,0103") == 1
    show = _curve(attributes, frame)
    low, top = _padding(attributes, signed=signed)

    def grey(cell: int) -> float:
        value = (cell >> (high + 1 - stored)) % 2**stored
        if signed and value >= 2 ** (stored - 1):
            value -= 2**stored
        return 0.0 if low <= value <= top else show(value)

    return grey


def _padding(attributes: Attributes, *, signed: bool) -> tuple[float, float]:
    """The range of values that are no picture (C.7.5.1.1.2); an empty one where there is none."""
    value, limit = attributes.number("0028,0120"), attributes.number("0028,0121")
    if value is None:
        return 1.0, 0.0
    ends = [value, value if limit is None else limit]
    if signed:
        ends = [each - 65536 if each > 32767 else each for each in ends]
    return min(ends), max(ends)


def _groups(attributes: Attributes, frame: int, sequence: str) -> Attributes:
    """The functional group that applies to a frame: its own, the shared one, or none, where the data set itself holds the attributes."""
    for groups, place in (("5200,9230", frame), ("5200,9229", 0)):
        found = attributes.items.get(groups, [])
        if place < len(found) and found[place].items.get(sequence):
            return found[place].items[sequence][0]
    return attributes


def _curve(attributes: Attributes, frame: int) -> Curve:
    """From a stored value to what is shown, 0 for black."""
    modality, black, white = _modality(attributes, frame)
    voi = _groups(attributes, frame, "0028,9132")
    centre, width = voi.number("0028,1050"), voi.number("0028,1051")
    if centre is not None and width is not None:
        window = _window(centre, width, voi.text("0028,1056") or "LINEAR")
        shown: Curve = lambda value: window(modality(value))  # noqa: E731
    elif attributes.items.get("0028,3010"):
        # The first entry's value is signed where what comes in is: rescaled values may be below 0, others only where they are stored so.
        item = attributes.items["0028,3010"][0]
        below = (
            min(modality(value) for value in _ends(attributes)) < 0
        )  # the ends of a line; a table gives nothing below 0
        look_up, entries, bits = _table(item, signed=below)
        # A descriptor of more bits than any entry uses: displays take the greatest entry for white.
        top = 2**bits - 1 if max(entries) >= 2 ** (bits - 1) else max(entries)
        shown = lambda value: min(1.0, look_up(modality(value)) / top)  # noqa: E731
    else:
        shown = lambda value: min(1.0, max(0.0, (modality(value) - black) / (white - black)))  # noqa: E731
    if attributes.text("0028,0004") == "MONOCHROME1":
        return lambda value: 1 - shown(value)
    return shown


def _ends(attributes: Attributes) -> tuple[int, int]:
    stored = attributes.whole("0028,0101")
    if attributes.whole("0028,0103") == 1:
        return -(2 ** (stored - 1)), 2 ** (stored - 1) - 1
    return 0, 2**stored - 1


def _modality(attributes: Attributes, frame: int) -> tuple[Curve, float, float]:
    """C.11.1: a table, or a line; and which output is black and which white where nothing follows."""
    if attributes.items.get("0028,3000"):
        look_up, _, bits = _table(attributes.items["0028,3000"][0], signed=attributes.whole("0028,0103") == 1)
        return look_up, 0.0, 2.0**bits - 1
    rescale = _groups(attributes, frame, "0028,9145")
    slope, intercept = rescale.number("0028,1053", 1.0), rescale.number("0028,1052", 0.0)
    assert slope is not None
    assert intercept is not None
    ends = [slope * end + intercept for end in _ends(attributes)]
    return lambda value: slope * value + intercept, min(ends), max(ends)


def _window(centre: float, width: float, function: str) -> Curve:
    """C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2, with 0 for y_min and 1 for y_max."""

    def linear(x: float) -> float:
        if x <= centre - 0.5 - (width - 1) / 2:
            return 0.0
        if x > centre - 0.5 + (width - 1) / 2:
            return 1.0
        return (x - (centre - 0.5)) / (width - 1) + 0.5

    def linear_exact(x: float) -> float:
        if x <= centre - width / 2:
            return 0.0
        if x > centre + width / 2:
            return 1.0
        return (x - centre) / width + 0.5

    def sigmoid(x: float) -> float:
        exponent = -4 * (x - centre) / width
        return 0.0 if exponent > 700 else 1 / (1 + math.exp(exponent))

    return {"LINEAR": linear, "LINEAR_EXACT": linear_exact, "SIGMOID": sigmoid}[function]


def _table(item: Attributes, *, signed: bool) -> tuple[Curve, list[float], int]:
    """C.11.1.1.1 and C.11.2.1.1: number of entries (0 for 65,536), value of the first, bits of an entry."""
    count, first, bits = (int(each) for each in item.numbers("0028,3002"))
    count = count % 65536 or 65536
    first %= 65536
    if first > 32767 and (signed or item.kind("0028,3002") == "SS"):
        first -= 65536
    entries = item.numbers("0028,3006")
    if len(entries) != count:  # two entries of 8 bits in each word
        entries = [part for entry in entries for part in (entry % 256, entry // 256)]
    entries = entries[:count]

    def look_up(value: float) -> float:
        return entries[int(min(max(value - first, 0), count - 1))]

    return look_up, entries, bits


def square(picture: Floats, attributes: Attributes) -> Floats:
    """Average lines along the finer axis where pixels are not square, each line by the part of it that is covered."""
    ratio = _aspect(attributes)
    if abs(ratio - 1) <= 0.005:
        return picture
    if ratio < 1:
        return _fewer(picture, max(1, round(len(picture) * ratio)))
    return _fewer(picture.T, max(1, round(picture.shape[1] / ratio))).T


def _aspect(attributes: Attributes) -> float:
    """Height of a pixel in widths."""
    measures = _groups(attributes, 0, "0028,9110")
    for holder, tag in (
        (measures, "0028,0030"),
        (attributes, "0018,1164"),
        (attributes, "0018,2010"),
        (attributes, "0028,0034"),
    ):
        found = holder.numbers(tag)
        if found:
            return found[0] / found[1]
    return 1.0


def _fewer(lines: Floats, count: int) -> Floats:
    step = len(lines) / count
    found = []
    for place in range(count):
        begin, end = place * step, (place + 1) * step
        total = np.zeros(lines.shape[1])
        for line in range(int(begin), min(len(lines), math.ceil(end))):
            total += (min(end, line + 1) - max(begin, line)) * lines[line]
        found.append(total / step)
    return np.array(found)
