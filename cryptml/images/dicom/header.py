"""What a header says of the pixels of its file: their number, their bits, their shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptml.errors import ImageError, NoPicture
from cryptml.images.dicom.elements import items, number, numbers, whole_number, word
from cryptml.images.dicom.frame_values import FrameValues
from cryptml.images.dicom.names import name_of, shown
from cryptml.images.limits import ACCEPTED, MAX_FRAMES, check_declared

if TYPE_CHECKING:
    from pydicom import Dataset

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
"""Photometric interpretations that are read: colour, where there is none in it."""

MOST_ASPECT = 8.0
"""Ratio of a pixel's sides, from which on a header is taken for wrong."""

ASPECT_TOLERANCE = 0.005
"""Of a ratio of sides that counts as square, and between two attributes that give it."""

_FOR_PROCESSING = {
    "1.2.840.10008.5.1.4.1.1.1.1.1": "Digital X-Ray Image Storage",
    "1.2.840.10008.5.1.4.1.1.1.2.1": "Digital Mammography X-Ray Image Storage",
    "1.2.840.10008.5.1.4.1.1.1.3.1": "Digital Intra-Oral X-Ray Image Storage",
    "1.2.840.10008.5.1.4.1.1.13.1.5": "Breast Projection X-Ray Image Storage",
}
"""Classes whose pictures are raw (DICOM PS3.6, table A-1)."""

_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


@dataclass(frozen=True)
class Header:
    """Pixels as a file describes them, checked.

    Attributes:
        rows: At least 1.
        columns: At least 1.
        frames: At least 1.
        samples: Channels, 1 or 3.
        photometric: One of `GREY` or `COLOUR`.
        planar: Whether channels follow one another, plane by plane.
        allocated: Bits of a cell, 8 or 16.
        stored: Bits of a value, at most ``allocated``.
        high: Place of a value's highest bit in its cell, from 0.
        signed: Whether values are in two's complement.
        padding: Least and greatest value that stand for no picture; None where there is no padding.
    """

    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    planar: bool
    allocated: int
    stored: int
    high: int
    signed: bool
    padding: tuple[int, int] | None

    @property
    def stored_range(self) -> tuple[int, int]:
        """Least and greatest value that the stored bits can hold."""
        return (-(1 << (self.stored - 1)), (1 << (self.stored - 1)) - 1) if self.signed else (0, (1 << self.stored) - 1)

    @property
    def frame_bytes(self) -> int:
        """Of one frame that is not compressed."""
        return self.rows * self.columns * self.samples * self.allocated // 8


def read_header(dataset: Dataset) -> Header:
    """Return what a data set says of its pixels.

    Raises:
        NoPicture: If it describes no picture at all.
        ImageError: If it describes no grey picture of affordable size, or contradicts itself.
    """
    photometric = word(dataset, "PhotometricInterpretation") or ""
    samples = whole_number(dataset, "SamplesPerPixel")
    if not photometric and samples is None and whole_number(dataset, "Rows") is None:
        raise NoPicture(f"the file holds no picture (no rows, no pixels); {ACCEPTED}")
    samples = samples or 1
    if (samples, photometric in GREY, photometric in COLOUR) not in ((1, True, False), (3, False, True)):
        raise ImageError(
            f"the picture is not grey (photometric interpretation {shown(photometric)}, {samples} samples a pixel); {ACCEPTED}"
        )
    rows, columns = whole_number(dataset, "Rows") or 0, whole_number(dataset, "Columns") or 0
    check_declared(columns, rows)
    frames = whole_number(dataset, "NumberOfFrames")
    frames = 1 if frames is None else frames
    if not 1 <= frames <= MAX_FRAMES:
        raise ImageError(f"{name_of('NumberOfFrames')} is {frames}, outside 1 to {MAX_FRAMES}")
    allocated, stored, high = (_needed(dataset, keyword) for keyword in ("BitsAllocated", "BitsStored", "HighBit"))
    representation = _needed(dataset, "PixelRepresentation")
    if representation not in (0, 1):
        raise ImageError(f"{name_of('PixelRepresentation')} is {representation} where 0 or 1 is needed")
    if allocated not in (8, 16):
        raise ImageError(f"{name_of('BitsAllocated')} is {allocated}; pictures of 8 or 16 are read")
    if not 1 <= stored <= allocated or not stored - 1 <= high < allocated:
        raise ImageError(
            f"{name_of('BitsStored')} is {stored} and {name_of('HighBit')} {high}, which do not fit {allocated} bits allocated"
        )
    if samples == 3 and (allocated, stored, representation) != (8, 8, 0):
        raise ImageError(f"colour of {stored} bits is not read; {ACCEPTED}")
    planar = whole_number(dataset, "PlanarConfiguration") or 0
    if planar not in (0, 1):
        raise ImageError(f"{name_of('PlanarConfiguration')} is {planar} where 0 or 1 is needed")
    signed = representation == 1
    padding = _padding(dataset, allocated, signed=signed)
    planes = planar == 1
    return Header(rows, columns, frames, samples, photometric, planes, allocated, stored, high, signed, padding)


def check_presentation(dataset: Dataset, header: Header) -> None:
    """Refuse what is no picture for people, or shown otherwise than this reader would.

    Raises:
        NoPicture: If the file holds raw values of a detector, and says so.
        ImageError: Naming the attribute.
    """
    storage = word(dataset, "SOPClassUID")
    intent = word(dataset, "PresentationIntentType")
    if intent == "FOR PROCESSING" or storage in _FOR_PROCESSING:
        raise NoPicture(
            f"{name_of('PresentationIntentType')}: the file is FOR PROCESSING, raw values of a detector; give the picture FOR PRESENTATION"
        )
    relationship = word(dataset, "PixelIntensityRelationship")
    if relationship in ("LIN", "LOG") and intent != "FOR PRESENTATION":
        raise ImageError(
            f"{name_of('PixelIntensityRelationship')} is {relationship}, and the file does not say that it is FOR PRESENTATION: "
            "its values may be a detector's; give the picture FOR PRESENTATION"
        )
    shape = word(dataset, "PresentationLUTShape")
    fitting = {"MONOCHROME1": "INVERSE", "MONOCHROME2": "IDENTITY"}.get(header.photometric, "IDENTITY")
    if shape not in (None, fitting):
        raise ImageError(
            f"{name_of('PresentationLUTShape')} is {shown(shape)}, which does not go with {header.photometric}; {fitting} would"
        )
    mode = word(dataset, "RecommendedViewingMode")
    if mode not in (None, "NAT"):
        raise ImageError(f"{name_of('RecommendedViewingMode')} is {shown(mode)}; natural pictures (NAT) are read")
    for keyword in ("StereoPairsPresent", "CalibrationImage", "QualityControlImage"):
        said = word(dataset, keyword)
        if said not in (None, "NO"):
            raise ImageError(f"{name_of(keyword)} is {shown(said)}; only pictures that say NO are read")
    presentation = word(dataset, "PixelPresentation")
    if header.samples == 1 and presentation not in (None, "MONOCHROME"):
        raise ImageError(f"{name_of('PixelPresentation')} is {shown(presentation)} where the pixels are grey")


def pixel_aspect(dataset: Dataset, frame: FrameValues) -> float:
    """Return the height of a pixel in widths of it; 1 where the file says nothing.

    Raises:
        ImageError: If attributes contradict each other, or give no ratio of two positive numbers.
    """
    found: dict[str, float] = {}
    pairs = {keyword: numbers(dataset, keyword) for keyword in ("PixelAspectRatio", *_SPACINGS[1:])}
    pairs["PixelSpacing"] = numbers(frame.holder("PixelMeasuresSequence", "PixelSpacing"), "PixelSpacing")
    for keyword, values in pairs.items():
        if values:
            found[keyword] = _ratio(keyword, values)
    for region in items(dataset, "SequenceOfUltrasoundRegions"):
        units = [whole_number(region, f"PhysicalUnits{axis}Direction") for axis in ("X", "Y")]
        if whole_number(region, "RegionSpatialFormat") == 1 and units == [3, 3]:  # two-dimensional, in centimetres
            deltas = [number(region, f"PhysicalDelta{axis}") for axis in ("Y", "X")]
            if None not in deltas:
                ratio = _ratio("SequenceOfUltrasoundRegions", [abs(each) for each in deltas if each is not None])
                found.setdefault("SequenceOfUltrasoundRegions", ratio)
                _check_alike(found["SequenceOfUltrasoundRegions"], ratio, "SequenceOfUltrasoundRegions")
    ratios = list(found.items())
    for keyword, ratio in ratios[1:]:
        _check_alike(ratios[0][1], ratio, keyword)
    ratio = ratios[0][1] if ratios else 1.0
    return 1.0 if abs(ratio - 1) <= ASPECT_TOLERANCE else ratio


def _needed(dataset: Dataset, keyword: str) -> int:
    value = whole_number(dataset, keyword)
    if value is None:
        raise ImageError(f"{name_of(keyword)} is missing; export the file again")
    return value


def _padding(dataset: Dataset, allocated: int, *, signed: bool) -> tuple[int, int] | None:
    found = []
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        value = whole_number(dataset, keyword, signed=signed)
        if value is not None:  # devices write US for signed pixels too, and the reverse
            value %= 1 << allocated
            value -= (1 << allocated) if signed and value >> (allocated - 1) else 0
        found.append(value)
    value, limit = found
    if value is None:
        if limit is not None:
            raise ImageError(f"{name_of('PixelPaddingRangeLimit')} is there without {name_of('PixelPaddingValue')}")
        return None
    low, high = sorted((value, value if limit is None else limit))
    return low, high


def _ratio(keyword: str, values: list[float]) -> float:
    if len(values) != 2 or min(values) <= 0:
        raise ImageError(f"{name_of(keyword)} is not a pair of positive numbers; correct it")
    ratio = values[0] / values[1]
    if not 1 / MOST_ASPECT <= ratio <= MOST_ASPECT:
        raise ImageError(
            f"{name_of(keyword)} makes pixels {ratio:g} times as high as wide, outside 1/{MOST_ASPECT:g} to {MOST_ASPECT:g}"
        )
    return ratio


def _check_alike(one: float, other: float, keyword: str) -> None:
    if abs(one / other - 1) > ASPECT_TOLERANCE:
        raise ImageError(
            f"{name_of(keyword)} makes pixels {other:g} times as high as wide, where another attribute says {one:g}"
        )
