"""What is done with each DICOM attribute that bears on pixels: one table, which the reader, its tests and a page of the documents share.

An attribute of the groups in `GUARDED_GROUPS`, or a functional group, that is not in the table is refused by its name: what this
reader does not know may change the picture. Attributes of other groups are not looked at unless they are in the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cryptml.images.dicom.attributes.without_effect import WITHOUT_EFFECT
from cryptml.images.dicom.names import tag_of


class Treatment(Enum):
    """What is done with an attribute that has a value."""

    APPLIED = "applied"
    CHECKED = "checked"
    REFUSED = "refused"
    WITHOUT_EFFECT = "without effect"


@dataclass(frozen=True)
class Attribute:
    """One row of the table.

    Attributes:
        keyword: After DICOM PS3.6.
        treatment: Of a value; an empty attribute is as if it were missing.
        meaning: What is done, or why nothing is, in a few words.
    """

    keyword: str
    treatment: Treatment
    meaning: str

    @property
    def tag(self) -> int:
        """Group and element; of overlays the first of their groups, 6000 to 60FE."""
        return tag_of(self.keyword)


GUARDED_GROUPS = (0x0028, 0x2050, 0x7FE0)
"""Of image pixels, presentation and pixel data."""

_APPLIED = {
    "SamplesPerPixel": "1, or 3 whose channels are equal",
    "PhotometricInterpretation": "MONOCHROME1 is inverted, MONOCHROME2 is not; RGB and YBR_FULL are read where they hold no colour",
    "PlanarConfiguration": "order of the channels of colour",
    "NumberOfFrames": "one frame is read, or those that the caller chooses",
    "Rows": "height",
    "Columns": "width",
    "PixelSpacing": "pixels that are not square are made square, by averaging along the finer axis",
    "ImagerPixelSpacing": "as Pixel Spacing",
    "NominalScannedPixelSpacing": "as Pixel Spacing",
    "PixelAspectRatio": "as Pixel Spacing",
    "SequenceOfUltrasoundRegions": "physical deltas of its two-dimensional regions, as Pixel Spacing",
    "BitsAllocated": "8 or 16",
    "BitsStored": "range of the values; those beyond it are clipped, and their number is said",
    "HighBit": "where the stored bits lie in the allocated ones",
    "PixelRepresentation": "unsigned, or two's complement",
    "PixelPaddingValue": "such pixels are black, whatever the transformations make of them",
    "PixelPaddingRangeLimit": "other end of the range of padding",
    "RescaleIntercept": "modality transformation",
    "RescaleSlope": "modality transformation",
    "ModalityLUTSequence": "modality transformation; its range is that of its bits",
    "WindowCenter": "the first window gives black and white",
    "WindowWidth": "the first window gives black and white",
    "VOILUTFunction": "LINEAR, LINEAR_EXACT or SIGMOID",
    "VOILUTSequence": "the first table gives the grey levels, where there is no window",
    "PixelMeasuresSequence": "functional group: Pixel Spacing of all frames or of one",
    "FrameVOILUTSequence": "functional group: window, or table of values of interest, of all frames or of one",
    "PixelValueTransformationSequence": "functional group: rescale of all frames or of one",
    "SharedFunctionalGroupsSequence": "functional groups of all frames",
    "PerFrameFunctionalGroupsSequence": "functional groups of each frame",
    "ExtendedOffsetTable": "where frames begin",
    "ExtendedOffsetTableLengths": "how long frames are",
    "PixelData": "the picture",
}

_CHECKED = {
    "PresentationLUTShape": "IDENTITY with MONOCHROME2, INVERSE with MONOCHROME1; others are refused",
    "PresentationIntentType": "FOR PROCESSING is refused: raw values of a detector are no picture",
    "SOPClassUID": "classes for processing, and such as hold no picture, are refused",
    "PixelIntensityRelationship": "LIN and LOG are refused where the file does not say that it is for presentation",
    "RecommendedViewingMode": "NAT; SUB is refused",
    "UltrasoundColorDataPresent": "colour is found by the channels themselves",
    "PixelPresentation": "MONOCHROME; COLOR, MIXED and TRUE_COLOR are refused for grey pixels",
    "StereoPairsPresent": "NO; frames for one eye each are refused",
    "QualityControlImage": "NO; pictures of a known object are refused",
    "CalibrationImage": "NO; pictures of a known object are refused",
    "RescaleType": "unit of the rescaled values; changes no grey level",
    "LossyImageCompression": "01 says that equal channels may have been rounded apart",
    "OverlayData": "an overlay with nothing in it; others are refused",
    "OverlayBitPosition": "0; overlays within the pixels are refused",
}

_REFUSED = {
    "FloatPixelData": "values are no integers",
    "DoubleFloatPixelData": "values are no integers",
    "PixelDataProviderURL": "the pixels lie elsewhere",
    "PresentationLUTSequence": "a presentation table is not applied here",
    "VariableModalityLUTSequence": "a modality table for each part of the picture",
    "SoftcopyVOILUTSequence": "belongs to presentation states",
    "MaskSubtractionSequence": "a frame would be subtracted",
    "PixelShiftSequence": "a frame would be subtracted",
    "RegionPixelShiftSequence": "a frame would be subtracted",
    "FramePixelShiftSequence": "functional group: a frame would be subtracted",
    "PixelIntensityRelationshipLUTSequence": "functional group: a table for the intensities",
    "FrameDisplayShutterSequence": "functional group: parts of the frame would be hidden",
    "DisplayFilterPercentage": "edges would be enhanced",
    "ShutterShape": "parts of the picture would be hidden",
    "ICCProfile": "colours would be mapped",
    "RedPaletteColorLookupTableDescriptor": "values would be shown in colour",
    "GreenPaletteColorLookupTableDescriptor": "values would be shown in colour",
    "BluePaletteColorLookupTableDescriptor": "values would be shown in colour",
    "AlphaPaletteColorLookupTableDescriptor": "values would be shown in colour",
    "EnhancedPaletteColorLookupTableSequence": "values would be shown in colour",
    "PaletteColorLookupTableSequence": "values would be shown in colour",
    "StoredValueColorRangeSequence": "values would be shown in colour",
    "DataFrameAssignmentSequence": "frames would be blended",
    "BlendingLUT1Sequence": "frames would be blended",
    "BlendingLUT2Sequence": "frames would be blended",
    "GrayLookupTableDescriptor": "a table of a retired kind",
    "Planes": "a picture of a retired kind",
    "CompressionCode": "a picture of a retired kind",
    "CompressionSequence": "a picture of a retired kind",
    "FloatPixelPaddingValue": "belongs to values that are no integers",
    "DoubleFloatPixelPaddingValue": "belongs to values that are no integers",
    "FloatPixelPaddingRangeLimit": "belongs to values that are no integers",
    "DoubleFloatPixelPaddingRangeLimit": "belongs to values that are no integers",
    "DoseGridScaling": "a dose, no picture",
    "SegmentSequence": "a segmentation, no picture",
}

TABLE: tuple[Attribute, ...] = tuple(
    sorted(
        (
            Attribute(keyword, treatment, meaning)
            for treatment, rows in (
                (Treatment.APPLIED, _APPLIED),
                (Treatment.CHECKED, _CHECKED),
                (Treatment.REFUSED, _REFUSED),
                (Treatment.WITHOUT_EFFECT, WITHOUT_EFFECT),
            )
            for keyword, meaning in rows.items()
        ),
        key=lambda row: (tag_of(row.keyword), row.keyword),
    )
)
