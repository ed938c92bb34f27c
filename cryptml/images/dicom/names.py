"""Attributes as messages name them: a word that people know, and a tag that their tools show."""

from __future__ import annotations

from functools import cache

from pydicom.datadict import dictionary_description, tag_for_keyword

OVERLAYS = {
    "OverlayRows": 0x60000010,
    "OverlayColumns": 0x60000011,
    "NumberOfFramesInOverlay": 0x60000015,
    "OverlayDescription": 0x60000022,
    "OverlayType": 0x60000040,
    "OverlaySubtype": 0x60000045,
    "OverlayOrigin": 0x60000050,
    "ImageFrameOrigin": 0x60000051,
    "OverlayBitsAllocated": 0x60000100,
    "OverlayBitPosition": 0x60000102,
    "ROIArea": 0x60001301,
    "ROIMean": 0x60001302,
    "ROIStandardDeviation": 0x60001303,
    "OverlayLabel": 0x60001500,
    "OverlayData": 0x60003000,
}
"""The first of the tags that these have: there is a group for each of sixteen overlays."""


@cache
def tag_of(keyword: str) -> int:
    """Return group and element.

    Raises:
        KeyError: If there is no such attribute.
    """
    found = OVERLAYS.get(keyword) or tag_for_keyword(keyword)
    if found is None:
        raise KeyError(keyword)
    return found


def name_of(attribute: str | int) -> str:
    """Return an attribute's name and tag, for example ``"Window Center (0028,1050)"``.

    Args:
        attribute: Keyword, or group and element.
    """
    tag = tag_of(attribute) if isinstance(attribute, str) else attribute
    try:
        name = dictionary_description(tag)
    except KeyError:
        name = "an attribute"
    return f"{name} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


TERMS = frozenset(
    {
        *("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "HSV", "ARGB", "CMYK", "XYB"),
        *("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT"),
        *("IDENTITY", "INVERSE", "LIN OD", "NAT", "SUB", "YES", "NO", "LINEAR", "LINEAR_EXACT", "SIGMOID"),
        *("COLOR", "MIXED", "TRUE_COLOR", "MONOCHROME", "COLOR_REF", "COLOR_RANGE"),
    }
)
"""Values that the standard defines for the attributes whose values messages show."""


def shown(value: str | None) -> str:
    """Return a code string for a message, if the standard defines it: anything else in its place may be about a person."""
    return repr(value) if value in TERMS else "another value than the standard defines"
