"""From stored values to grey levels: modality transformation, values of interest, presentation (DICOM PS3.3 C.7.6.3, C.11.1, C.11.2).

A frame's grey levels are a function of its stored values alone, so they are computed once for each value that the stored bits can
hold, 65,536 at most, and then looked up for each pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cryptml.errors import ImageError
from cryptml.images.dicom.elements import array, items, number, numbers, value_representation, word
from cryptml.images.dicom.frame_values import FrameValues
from cryptml.images.dicom.header import Header
from cryptml.images.dicom.names import name_of, shown

if TYPE_CHECKING:
    from pydicom import Dataset

Floats = npt.NDArray[np.float64]
Greys = npt.NDArray[np.float32]

LEAST_TABLE_BITS, MOST_TABLE_BITS = 8, 16
MOST_ENTRIES = 1 << 16


@dataclass(frozen=True)
class Levels:
    """Grey levels of a frame's values.

    Attributes:
        grey: float32 (2^stored,), values in [0, 1], of every value that the stored bits can hold, from the least to the greatest.
        by_bits: Whether the stored bits alone say what is black and white: neither a window nor a table does.
        by_table: Whether a table is among the transformations.
    """

    grey: Greys
    by_bits: bool
    by_table: bool


@dataclass(frozen=True)
class _Range:
    """Values after a transformation, and which of them are black and white."""

    values: Floats
    black: float
    white: float
    by_table: bool = False


@dataclass(frozen=True)
class _Table:
    """A table of a modality or of values of interest.

    Attributes:
        first: The value that the first entry is for; the values below have it too, as those beyond the last have the last.
        entries: What values become.
        bits: Of the entries, as the table's descriptor declares.
    """

    first: int
    entries: Floats
    bits: int

    def look_up(self, values: Floats, keyword: str) -> Floats:
        if (values != np.rint(values)).any():
            raise ImageError(f"{name_of(keyword)} is for whole numbers, and the rescale before it makes fractions")
        places = np.clip(values - self.first, 0, len(self.entries) - 1).astype(np.int64)
        return np.asarray(self.entries[places])

    @property
    def bits_in_use(self) -> int:
        """Least bits that hold the greatest entry."""
        return max(1, int(self.entries.max()).bit_length())


def grey_levels(frame: FrameValues, dataset: Dataset, header: Header) -> Levels:
    """Return the grey level of every value that the stored bits can hold, from the least to the greatest.

    The darkest output of the first window, else of the first table of values of interest, becomes 0 and the brightest 1. Without one, the
    range of the stored bits, carried through the rescale, or the range of the modality table's bits, becomes [0, 1]. It is never
    taken from the picture's own values, so equal greys stay equal between pictures. MONOCHROME1 is inverted last.

    Raises:
        ImageError: If a transformation is incomplete, ambiguous, of an unknown kind, or makes one grey of all values.
    """
    low, high = header.stored_range
    stored = np.arange(low, high + 1, dtype=np.float64)
    found, declared = _modality(frame, dataset, _Range(stored, low, high), signed=header.signed)
    shown = _values_of_interest(frame, dataset, found.values)
    by_bits = shown is None and declared is None
    if shown is None:
        if declared is not None and declared.bits_in_use < declared.bits:
            raise ImageError(
                f"{name_of('ModalityLUTSequence')} declares {declared.bits} bits and uses {declared.bits_in_use}, "
                "and no window says what is white; export the file again"
            )
        shown = found
    if not np.isfinite([shown.black, shown.white]).all() or shown.black == shown.white:
        raise ImageError(
            f"the rescale or window maps every value to [{shown.black:g}, {shown.white:g}]; correct its slope, intercept or width"
        )
    grey = np.clip((shown.values - shown.black) / (shown.white - shown.black), 0, 1)
    if header.photometric == "MONOCHROME1":
        grey = 1 - grey
    return Levels(grey.astype(np.float32), by_bits, found.by_table or shown.by_table)


def _modality(frame: FrameValues, dataset: Dataset, stored: _Range, *, signed: bool) -> tuple[_Range, _Table | None]:
    tables = [table for table in items(dataset, "ModalityLUTSequence") if len(table)]
    holder = frame.holder("PixelValueTransformationSequence", "RescaleSlope", "RescaleIntercept")
    slope, intercept = number(holder, "RescaleSlope"), number(holder, "RescaleIntercept")
    if (slope is None) != (intercept is None):
        given, missing = (
            ("RescaleSlope", "RescaleIntercept") if intercept is None else ("RescaleIntercept", "RescaleSlope")
        )
        raise ImageError(f"{name_of(given)} is there without {name_of(missing)}; export the file again")
    if tables:
        if slope is not None:
            raise ImageError(f"{name_of('ModalityLUTSequence')} and {name_of('RescaleSlope')} exclude each other")
        if len(tables) > 1:
            raise ImageError(f"{name_of('ModalityLUTSequence')} has {len(tables)} tables where 1 is needed")
        table = _table(tables[0], "ModalityLUTSequence", signed=signed)
        values = table.look_up(stored.values, "ModalityLUTSequence")
        return _Range(values, 0.0, float((1 << table.bits) - 1), by_table=True), table
    if slope is None or intercept is None:
        return stored, None
    ends = sorted(end * slope + intercept for end in (stored.black, stored.white))
    return _Range(stored.values * slope + intercept, ends[0], ends[1]), None


def _values_of_interest(frame: FrameValues, dataset: Dataset, values: Floats) -> _Range | None:
    holder = frame.holder("FrameVOILUTSequence", "WindowCenter", "WindowWidth")
    centres, widths = numbers(holder, "WindowCenter"), numbers(holder, "WindowWidth")
    if len(centres) != len(widths):
        raise ImageError(
            f"{name_of('WindowCenter')} has {len(centres)} values and {name_of('WindowWidth')} {len(widths)}; export the file again"
        )
    if centres:
        function = word(holder, "VOILUTFunction") or word(dataset, "VOILUTFunction") or "LINEAR"
        return _window(values, centres[0], widths[0], function)
    tables = [table for table in frame.sequence("FrameVOILUTSequence", "VOILUTSequence") if len(table)]
    if not tables:
        return None
    table = _table(tables[0], "VOILUTSequence", signed=bool(values.min() < 0))
    # Devices declare 16 bits for entries of 12; displays then take the greatest entry for white.
    white = float((1 << table.bits) - 1) if table.bits_in_use == table.bits else float(table.entries.max())
    return _Range(table.look_up(values, "VOILUTSequence"), 0.0, white, by_table=True)


def _window(values: Floats, centre: float, width: float, function: str) -> _Range:
    """Apply the function of C.11.2.1.2 (LINEAR) or C.11.2.1.3, with 0 for black and 1 for white."""
    functions: dict[str, tuple[float, Callable[[Floats], Floats]]] = {
        "LINEAR": (
            1.0,
            lambda x: _step(x - (centre - 0.5)) if width == 1 else (x - (centre - 0.5)) / (width - 1) + 0.5,
        ),
        "LINEAR_EXACT": (0.0, lambda x: (x - centre) / width + 0.5),
        "SIGMOID": (0.0, lambda x: 1 / (1 + np.exp(np.clip(-4 * (x - centre) / width, -700, 700)))),
    }
    if function not in functions:
        raise ImageError(f"{name_of('VOILUTFunction')} is {shown(function)}; {', '.join(functions)} are read")
    least, apply = functions[function]
    if width < least or width <= 0:
        bound = "at least 1" if least else "above 0"
        raise ImageError(f"{name_of('WindowWidth')} is {width:g} where {bound} is needed for the function {function}")
    return _Range(np.clip(apply(values), 0, 1), 0.0, 1.0)


def _step(values: Floats) -> Floats:
    return np.where(values <= 0, 0.0, 1.0)


def _table(item: Dataset, keyword: str, *, signed: bool) -> _Table:
    """Read the table of a sequence's item, and check it against its descriptor."""
    descriptor = numbers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        raise ImageError(
            f"{name_of('LUTDescriptor')} of {name_of(keyword)} has {len(descriptor)} values where 3 are needed"
        )
    count, first, bits = (int(each) for each in descriptor)
    count = count % MOST_ENTRIES or MOST_ENTRIES  # 65,536 is written as 0, and signed where the first value is
    if signed or value_representation(item, "LUTDescriptor") == "SS":  # devices write US also where it is below 0
        first = (first + (1 << 15)) % (1 << 16) - (1 << 15)
    if not LEAST_TABLE_BITS <= bits <= MOST_TABLE_BITS:
        raise ImageError(
            f"{name_of('LUTDescriptor')} of {name_of(keyword)} declares {bits} bits, outside {LEAST_TABLE_BITS} to {MOST_TABLE_BITS}"
        )
    entries = _entries(item, keyword, count, bits)
    if entries.max() > (1 << bits) - 1:
        raise ImageError(
            f"{name_of('LUTData')} of {name_of(keyword)} has entries beyond the {bits} bits that its descriptor declares"
        )
    return _Table(first, entries, bits)


def _entries(item: Dataset, keyword: str, count: int, bits: int) -> Floats:
    data, little, parsed = array(item, "LUTData")
    if parsed:
        found = np.asarray(parsed, np.float64)
    elif len(data) == 2 * count:
        found = np.frombuffer(data, "<u2" if little else ">u2").astype(np.float64)
    elif bits == 8 and len(data) in (count, count + 1):
        cells = np.frombuffer(data, np.uint8)
        if not little:  # two entries in each word
            cells = cells[: len(cells) // 2 * 2].reshape(-1, 2)[:, ::-1].ravel()
        found = cells[:count].astype(np.float64)
    else:
        found = np.zeros(0)
    if len(found) != count:
        raise ImageError(
            f"{name_of('LUTData')} of {name_of(keyword)} has {len(data) or len(parsed)} bytes or numbers where its descriptor "
            f"declares {count} entries; export the file again"
        )
    return found
