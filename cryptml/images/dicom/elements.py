"""Values of DICOM data elements, read from their bytes: what is empty is as if it were missing, what is malformed is named."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydicom.datadict import dictionary_VR

from cryptml.errors import ImageError
from cryptml.images.dicom.names import name_of, tag_of

if TYPE_CHECKING:
    from pydicom import Dataset

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_TEXT = {"CS", "DS", "IS", "LO", "LT", "SH", "ST", "UC", "UI", "UT"}
_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}
MOST_NUMBERS = 4096
"""Of one element: no list of windows or spacings is longer."""


def has_value(dataset: Dataset, tag: int) -> bool:
    """Return whether an attribute is there, with a value: text of blanks is none, and the length of a group (element 0) says nothing."""
    if tag not in dataset or not tag & 0xFFFF:
        return False
    value = dataset.get_item(tag).value
    if isinstance(value, bytes):
        return bool(value.strip(b" \0\\") if _is_text(tag) else value)
    if isinstance(value, str):
        return bool(value.strip(" \0\\"))
    return value is not None and not (isinstance(value, Sequence) and not len(value))


def numbers(dataset: Dataset, keyword: str, *, signed: bool = False) -> list[float]:
    """Return the numbers of an attribute; an empty list where it has none.

    Args:
        dataset: Of the file, or an item of a sequence.
        keyword: Whose value representation is one of numbers.
        signed: Whether US or SS means SS, where the file does not say.

    Raises:
        ImageError: If a value is no finite decimal number, or the file gives another value representation.
    """
    if not has_value(dataset, tag_of(keyword)):
        return []
    element = _element(dataset, keyword)
    value = element.value
    if isinstance(value, bytes):
        kind = _kind(keyword, getattr(element, "VR", None), signed=signed)
        if kind in _BINARY:
            little = getattr(element, "is_little_endian", True)
            found = _unpack(value, _BINARY[kind], little=little, keyword=keyword)
        else:
            found = [_decimal(text, keyword) for text in _words(value)]
    elif isinstance(value, str):
        found = [_decimal(text, keyword) for text in _words(value.encode("ascii", "replace"))]
    else:
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        found = [_decimal(str(each).encode("ascii", "replace"), keyword) for each in values]
    if len(found) > MOST_NUMBERS:
        raise ImageError(f"{name_of(keyword)} has {len(found)} values, at most {MOST_NUMBERS} are read")
    if not np.isfinite(found).all():
        raise ImageError(f"{name_of(keyword)} holds a value that is not finite; correct it")
    return found


def whole_number(dataset: Dataset, keyword: str, *, signed: bool = False) -> int | None:
    """Return an attribute's one whole number; None where it has none.

    Raises:
        ImageError: If it has several, or one that is not whole.
    """
    found = numbers(dataset, keyword, signed=signed)
    if not found:
        return None
    if len(found) != 1 or found[0] != int(found[0]):
        raise ImageError(f"{name_of(keyword)} is not one whole number; correct it")
    return int(found[0])


def number(dataset: Dataset, keyword: str) -> float | None:
    """Return an attribute's one number; None where it has none.

    Raises:
        ImageError: If it has several.
    """
    found = numbers(dataset, keyword)
    if len(found) > 1:
        raise ImageError(f"{name_of(keyword)} has {len(found)} values where 1 is needed; correct it")
    return found[0] if found else None


def words(dataset: Dataset, keyword: str, *, capitals: bool = True) -> list[str]:
    """Return an attribute's code strings without blanks around them; an empty list where it has none.

    Args:
        dataset: Of the file, or an item of a sequence.
        keyword: Whose value representation is one of text.
        capitals: Whether small letters become capital ones, which all code strings should have.
    """
    if not has_value(dataset, tag_of(keyword)):
        return []
    element = _element(dataset, keyword)
    value = element.value
    if isinstance(value, bytes):
        found = [text.decode("ascii", "replace") for text in _words(value)]
    else:
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        found = [str(each).strip(" \0") for each in values]
    return [text.upper() for text in found] if capitals else found


def word(dataset: Dataset, keyword: str) -> str | None:
    """Return the first of an attribute's code strings; None where it has none."""
    return next(iter(words(dataset, keyword)), None)


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; an empty list where it has none.

    Raises:
        ImageError: If the element is no sequence.
    """
    if not has_value(dataset, tag_of(keyword)):
        return []
    value = dataset[keyword].value  # pydicom parses its bytes here
    if isinstance(value, bytes | str) or not isinstance(value, Sequence):
        raise ImageError(f"{name_of(keyword)} is no sequence of items; export the file again")
    return list(value)


def array(dataset: Dataset, keyword: str) -> tuple[bytes, bool, list[float]]:
    """Return a table's data as bytes and whether they are little endian, or as numbers where they were parsed already."""
    element = _element(dataset, keyword)
    if element is None or element.value is None:
        return b"", True, []
    value = element.value
    if isinstance(value, bytes):
        return value, getattr(element, "is_little_endian", True), []
    return b"", True, [float(each) for each in (value if isinstance(value, Sequence) else [value])]


def value_representation(dataset: Dataset, keyword: str) -> str | None:
    """Return what the file says that an attribute's values are, for example ``"SS"``; None where it does not say."""
    element = _element(dataset, keyword)
    found = getattr(element, "VR", None)
    return None if found is None else str(found)


def _element(dataset: Dataset, keyword: str) -> Any:
    """The element as it was read: pydicom converts elements when they are asked for, and fails on malformed ones then."""
    tag = tag_of(keyword)
    return dataset.get_item(tag) if tag in dataset else None


def _is_text(tag: int) -> bool:
    try:
        return dictionary_VR(tag) in _TEXT
    except KeyError:
        return False


def _kind(keyword: str, given: str | None, *, signed: bool) -> str:
    """The value representation to read an element's bytes by."""
    expected = dictionary_VR(tag_of(keyword))
    if expected.startswith("US or SS") or expected == "US or OW":
        if given in ("US", "SS"):
            return str(given)
        expected = "SS" if signed else "US"
    if given in (None, "UN", "OW", expected) or (given in _TEXT and expected in _TEXT):
        return expected
    raise ImageError(f"{name_of(keyword)} has the value representation {given} where {expected} is needed")


def _unpack(value: bytes, code: str, *, little: bool, keyword: str) -> list[float]:
    size = struct.calcsize(f"={code}")
    if len(value) % size:
        raise ImageError(f"{name_of(keyword)} has {len(value)} bytes, no multiple of {size}; export the file again")
    values: npt.NDArray[Any] = np.frombuffer(value[: size * (MOST_NUMBERS + 1)], f"{'<' if little else '>'}{code}")
    return [float(each) for each in values]


def _words(value: bytes) -> list[bytes]:
    return [text.strip(b" \0") for text in value.split(b"\\")]


def _decimal(text: bytes, keyword: str) -> float:
    shown = text.decode("ascii", "replace")
    if shown.count(",") == 1 and "." not in shown:
        shown = shown.replace(",", ".")  # some devices write their country's decimal comma
    if _NUMBER.fullmatch(shown) is None:
        raise ImageError(
            f"{name_of(keyword)} holds a value that is no decimal number; correct it, or export the file again"
        )
    return float(shown)
