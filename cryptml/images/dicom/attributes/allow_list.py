"""Which attributes of a file refuse it, by the table of `cryptml.images.dicom.attributes.table`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cryptml.images.dicom.attributes.table import GUARDED_GROUPS, TABLE, Treatment
from cryptml.images.dicom.elements import has_value, items
from cryptml.images.dicom.names import OVERLAYS, name_of

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.tag import BaseTag

OVERLAY_GROUPS = range(0x6000, 0x6100, 2)
_FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")

_WITHIN = {
    "PixelMeasuresSequence": {"PixelSpacing"},
    "FrameVOILUTSequence": {"WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"},
    "PixelValueTransformationSequence": {"RescaleIntercept", "RescaleSlope", "RescaleType"},
}
"""What is read within the functional groups that are applied; other attributes that would be applied elsewhere refuse the file there."""

MOST_LISTED = 5
"""Attributes that one refusal names."""

_BY_TAG = {row.tag: row for row in TABLE}


def refused(dataset: Dataset, frames: Iterable[int]) -> list[str]:
    """Return what is said of each attribute that this reader does not implement; an empty list where there is none.

    Args:
        dataset: Of the file, without its pixel data.
        frames: Places of the frames that are read, from 0: their functional groups are looked at.
    """
    found = list(_refused_in(dataset))
    for keyword in _FUNCTIONAL_GROUPS:
        groups = items(dataset, keyword)
        for place in [0] if keyword == _FUNCTIONAL_GROUPS[0] else frames:
            if place < len(groups):
                found += _refused_groups(groups[place])
    return list(dict.fromkeys(found))


def _refused_groups(groups: Dataset) -> Iterator[str]:
    for tag in list(groups.keys()):
        row = _BY_TAG.get(int(tag))
        if not has_value(groups, tag) or tag.group % 2:
            continue
        if row is None:
            yield f"functional group {name_of(int(tag))} is not known to this reader"
        elif row.treatment is Treatment.REFUSED:
            yield f"functional group {name_of(int(tag))}: {row.meaning.removeprefix('functional group: ')}"
        elif row.treatment is Treatment.APPLIED:
            for item in items(groups, row.keyword):
                yield from _refused_in(item)
                yield from _refused_within(item, row.keyword)


def _refused_within(item: Dataset, group: str) -> Iterator[str]:
    for tag in list(item.keys()):
        row = _BY_TAG.get(int(tag))
        if row is None or row.keyword in _WITHIN[group] or not has_value(item, tag):
            continue
        if row.treatment in (Treatment.APPLIED, Treatment.CHECKED):
            yield f"{name_of(int(tag))} is not read within the functional group {name_of(group)}"


def _refused_in(dataset: Dataset) -> Iterator[str]:
    for tag in list(dataset.keys()):
        row = _BY_TAG.get(int(tag))
        if row is None and tag.group in GUARDED_GROUPS and has_value(dataset, tag):
            yield f"{name_of(int(tag))} is not known to this reader"
        elif row is not None and row.treatment is Treatment.REFUSED and has_value(dataset, tag):
            yield f"{name_of(int(tag))}: {row.meaning}"
        elif tag.group in OVERLAY_GROUPS:
            yield from _refused_overlay(dataset, tag)


def _refused_overlay(dataset: Dataset, tag: BaseTag) -> Iterator[str]:
    """An overlay with anything in it is refused, in a plane of its own or in unused bits of the pixels."""
    value = dataset.get_item(tag).value
    if tag.element == OVERLAYS["OverlayData"] & 0xFFFF:
        if not isinstance(value, bytes) or value.strip(b"\0"):
            yield f"Overlay Data ({tag.group:04X},3000): something would be drawn on the picture"
    elif tag.element == OVERLAYS["OverlayBitPosition"] & 0xFFFF and isinstance(value, bytes) and value.strip(b"\0"):
        yield f"Overlay Bit Position ({tag.group:04X},0102): an overlay lies within the pixels"
