"""Transfer syntaxes of DICOM files that are read (DICOM PS3.5 10, A)."""

from __future__ import annotations

from collections.abc import Mapping

from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from cryptml.images.codestreams import BASELINE, EXTENDED, LOSSLESS, LS

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
JPEG: Mapping[str, tuple[int, ...]] = {
    JPEGBaseline8Bit: (BASELINE,),
    JPEGExtended12Bit: (BASELINE, EXTENDED),
    JPEGLossless: (LOSSLESS,),
    JPEGLosslessSV1: (LOSSLESS,),
    JPEGLSLossless: (LS,),
    JPEGLSNearLossless: (LS,),
}
"""With the processes that a frame's own header may name."""

JPEG_2000 = (JPEG2000Lossless, JPEG2000)
SYNTAXES: tuple[UID, ...] = (*NATIVE, RLELossless, *(UID(each) for each in JPEG), *JPEG_2000)
"""Transfer syntaxes that are read; others are refused by name."""

LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000)
