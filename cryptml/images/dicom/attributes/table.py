"""What is done with each DICOM attribute that bears on pixels: one table, which the reader, its tests and a page of the documents share.

An attribute of the groups in `GUARDED_GROUPS`, or a functional group, that is not in the table is refused by its name: what this
reader does not know may change the picture. Attributes of other groups are not looked at unless they are in the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

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

_WITHOUT_EFFECT = {
    "SamplesPerPixelUsed": "number of channels with content",
    "FrameIncrementPointer": "order of the frames in time or place",
    "FrameDimensionPointer": "order of the frames in time or place",
    "ImageDimensions": "retired",
    "ImageFormat": "retired",
    "ImageLocation": "retired",
    "GrayScale": "retired",
    "ManipulatedImage": "retired",
    "ImagePresentationComments": "retired",
    "LargestMonochromePixelValue": "retired",
    "SmallestValidPixelValue": "retired",
    "LargestValidPixelValue": "retired",
    "ZoomFactor": "of the acquisition",
    "ZoomCenter": "of the acquisition",
    "CorrectedImage": "done already",
    "SmallestImagePixelValue": "a statement on the values, which are read themselves",
    "LargestImagePixelValue": "a statement on the values, which are read themselves",
    "SmallestPixelValueInSeries": "a statement on other pictures",
    "LargestPixelValueInSeries": "a statement on other pictures",
    "SmallestImagePixelValueInPlane": "a statement on the values, which are read themselves",
    "LargestImagePixelValueInPlane": "a statement on the values, which are read themselves",
    "BurnedInAnnotation": "what is burned in is part of the picture",
    "RecognizableVisualFeatures": "a statement on the picture",
    "LongitudinalTemporalInformationModified": "a statement on dates",
    "ReferencedColorPaletteInstanceUID": "a name",
    "PaletteColorLookupTableUID": "a name",
    "PixelSpacingCalibrationType": "how the spacing was found",
    "PixelSpacingCalibrationDescription": "how the spacing was found",
    "PixelIntensityRelationshipSign": "of the detector; refused where Pixel Intensity Relationship is",
    "WindowCenterWidthExplanation": "names of the windows",
    "BreastImplantPresent": "a statement on the breast",
    "PartialView": "a statement on the view",
    "PartialViewDescription": "a statement on the view",
    "PartialViewCodeSequence": "a statement on the view",
    "SpatialLocationsPreserved": "a statement on derivation",
    "ColorSpace": "without a colour profile it changes nothing",
    "LossyImageCompressionRatio": "done already",
    "LossyImageCompressionMethod": "done already",
    "ModalityLUTType": "unit of the table's output; changes no grey level",
    "LUTExplanation": "a name",
    "LUTDescriptor": "read within its table",
    "LUTData": "read within its table",
    "RepresentativeFrameNumber": "a suggestion; frames are the caller's choice",
    "FrameNumbersOfInterest": "a suggestion; frames are the caller's choice",
    "FrameOfInterestDescription": "a suggestion; frames are the caller's choice",
    "FrameOfInterestType": "a suggestion; frames are the caller's choice",
    "RWavePointer": "retired",
    "MaskPointers": "retired",
    "RedPaletteColorLookupTableData": "refused with its descriptor",
    "GreenPaletteColorLookupTableData": "refused with its descriptor",
    "BluePaletteColorLookupTableData": "refused with its descriptor",
    "AlphaPaletteColorLookupTableData": "refused with its descriptor",
    "SegmentedRedPaletteColorLookupTableData": "refused with its descriptor",
    "SegmentedGreenPaletteColorLookupTableData": "refused with its descriptor",
    "SegmentedBluePaletteColorLookupTableData": "refused with its descriptor",
    "SegmentedAlphaPaletteColorLookupTableData": "refused with its descriptor",
    "GrayLookupTableData": "refused with its descriptor",
    "FramePixelDataPropertiesSequence": "functional group: how the frame was made",
    "GeometricalProperties": "how the frame was made",
    "GeometricMaximumDistortion": "how the frame was made",
    "ImageProcessingApplied": "done already",
    "EncapsulatedPixelDataValueTotalLength": "the bytes are counted",
    "FieldOfViewRotation": "done already",
    "FieldOfViewHorizontalFlip": "done already",
    "PatientOrientation": "the picture is shown as it is stored",
    "ViewPosition": "for choosing among the pictures of a study",
    "ImageLaterality": "for choosing among the pictures of a study",
    "FrameContentSequence": "functional group: order and place of the frame",
    "PlanePositionSequence": "functional group: place of the frame",
    "PlaneOrientationSequence": "functional group: place of the frame",
    "PlanePositionVolumeSequence": "functional group: place of the frame",
    "PlaneOrientationVolumeSequence": "functional group: place of the frame",
    "ReferencedImageSequence": "functional group: other pictures",
    "DerivationImageSequence": "functional group: how the frame was made",
    "FrameAnatomySequence": "functional group: which breast",
    "IrradiationEventIdentificationSequence": "functional group: a name",
    "RealWorldValueMappingSequence": "functional group: units for measurements; changes no grey level",
    "ContrastBolusUsageSequence": "functional group: a statement on the examination",
    "XRay3DFrameTypeSequence": "functional group: kind of the frame",
    "XRay3DAcquisitionSequence": "functional group: how the frame was made",
    "XRayAcquisitionDoseSequence": "functional group: how the frame was made",
    "XRayGeometrySequence": "functional group: how the frame was made",
    "XRayGridSequence": "functional group: how the frame was made",
    "XRayFilterSequence": "functional group: how the frame was made",
    "FrameDetectorParametersSequence": "functional group: how the frame was made",
    "FieldOfViewSequence": "functional group: how the frame was made",
    "PositionerPositionSequence": "functional group: how the frame was made",
    "CollimatorShapeSequence": "functional group: edges that the picture shows itself",
    "AcquisitionContextSequence": "a statement on the examination",
    "PatientOrientationInFrameSequence": "functional group: the picture is shown as it is stored",
    "USImageDescriptionSequence": "functional group: how the frame was made",
    "TemporalPositionSequence": "functional group: order of the frame",
    "UnassignedSharedConvertedAttributesSequence": "functional group: attributes that bear on no pixels",
    "UnassignedPerFrameConvertedAttributesSequence": "functional group: attributes that bear on no pixels",
    "ConversionSourceAttributesSequence": "functional group: other pictures",
    "EquipmentCoordinateSystemIdentification": "place of the picture",
    "ImageToEquipmentMappingMatrix": "place of the picture",
    "BiopsyTargetSequence": "a place in the picture; nothing is drawn",
    "HistogramSequence": "a statement on the values, which are read themselves",
    "IconImageSequence": "a small copy of the picture",
    "ImageType": "how the picture was made",
    "DerivationDescription": "how the picture was made",
    "AcquisitionDeviceProcessingDescription": "done already",
    "AcquisitionDeviceProcessingCode": "done already",
    "CollimatorShape": "edges that the picture shows itself",
    "FieldOfViewShape": "edges that the picture shows itself",
    "FieldOfViewDimensions": "edges that the picture shows itself",
    "FieldOfViewOrigin": "edges that the picture shows itself",
    "DetectorActiveShape": "edges that the picture shows itself",
    "ViewCodeSequence": "for choosing among the pictures of a study",
    "Laterality": "for choosing among the pictures of a study",
    "VolumetricProperties": "how the picture was made",
    "VolumeBasedCalculationTechnique": "how the picture was made",
    "ConcatenationUID": "other files hold further frames",
    "InConcatenationNumber": "other files hold further frames",
    "ConcatenationFrameOffsetNumber": "other files hold further frames",
    "DimensionOrganizationType": "order of the frames in time or place",
    "DimensionIndexSequence": "order of the frames in time or place",
    "StartTrim": "a suggestion; frames are the caller's choice",
    "StopTrim": "a suggestion; frames are the caller's choice",
    "PreferredPlaybackSequencing": "a suggestion; frames are the caller's choice",
    "ProcessingFunction": "done already",
    "TransducerData": "how the picture was made",
    "DepthOfScanField": "how the picture was made",
    "XRay3DReconstructionSequence": "how the picture was made",
    "ShutterLeftVerticalEdge": "belongs to Shutter Shape",
    "ShutterRightVerticalEdge": "belongs to Shutter Shape",
    "ShutterUpperHorizontalEdge": "belongs to Shutter Shape",
    "ShutterLowerHorizontalEdge": "belongs to Shutter Shape",
    "CenterOfCircularShutter": "belongs to Shutter Shape",
    "RadiusOfCircularShutter": "belongs to Shutter Shape",
    "VerticesOfThePolygonalShutter": "belongs to Shutter Shape",
    "ShutterPresentationValue": "belongs to Shutter Shape",
    "ShutterPresentationColorCIELabValue": "belongs to Shutter Shape",
    "OverlayBitsAllocated": "belongs to Overlay Data",
    "OverlayRows": "belongs to Overlay Data",
    "OverlayColumns": "belongs to Overlay Data",
    "OverlayType": "belongs to Overlay Data",
    "OverlaySubtype": "belongs to Overlay Data",
    "OverlayOrigin": "belongs to Overlay Data",
    "OverlayLabel": "belongs to Overlay Data",
    "OverlayDescription": "belongs to Overlay Data",
    "ROIArea": "belongs to Overlay Data",
    "ROIMean": "belongs to Overlay Data",
    "ROIStandardDeviation": "belongs to Overlay Data",
    "NumberOfFramesInOverlay": "belongs to Overlay Data",
    "ImageFrameOrigin": "belongs to Overlay Data",
    "CollimatorLeftVerticalEdge": "edges that the picture shows itself",
    "CollimatorRightVerticalEdge": "edges that the picture shows itself",
    "CollimatorUpperHorizontalEdge": "edges that the picture shows itself",
    "CollimatorLowerHorizontalEdge": "edges that the picture shows itself",
    "CenterOfCircularCollimator": "edges that the picture shows itself",
    "RadiusOfCircularCollimator": "edges that the picture shows itself",
    "VerticesOfThePolygonalCollimator": "edges that the picture shows itself",
}


TABLE: tuple[Attribute, ...] = tuple(
    sorted(
        (
            Attribute(keyword, treatment, meaning)
            for treatment, rows in (
                (Treatment.APPLIED, _APPLIED),
                (Treatment.CHECKED, _CHECKED),
                (Treatment.REFUSED, _REFUSED),
                (Treatment.WITHOUT_EFFECT, _WITHOUT_EFFECT),
            )
            for keyword, meaning in rows.items()
        ),
        key=lambda row: (tag_of(row.keyword), row.keyword),
    )
)
