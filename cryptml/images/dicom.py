"""DICOM files, through pydicom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cryptml.errors import ImageError
from cryptml.images.limits import ACCEPTED, check_declared

if TYPE_CHECKING:
    from pydicom import Dataset as DicomDataset


def read_dicom(file: Path) -> tuple[npt.NDArray[Any], str]:
    """Decode a DICOM file with pydicom and bring its grey levels to [0, 1]."""
    import pydicom
    from pydicom.pixels import apply_modality_lut

    _check_transfer_syntax(file)
    dataset = pydicom.dcmread(file)
    _check_dicom(dataset)
    stored = dataset.pixel_array
    bits = int(dataset.BitsStored)
    signed = int(dataset.PixelRepresentation) == 1
    ends = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1], dtype=stored.dtype)
    values = apply_modality_lut(stored, dataset)
    black, white = sorted(float(end) for end in apply_modality_lut(ends, dataset))
    values, black, white = _apply_first_window(values, dataset, black, white)
    if not np.isfinite([black, white]).all() or black == white:
        raise ImageError(
            f"the rescale or window maps every value to [{black:g}, {white:g}]; correct its slope, intercept or width"
        )
    grey = (values.astype(np.float64) - black) / (white - black)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        grey = 1 - grey
    return grey, f"DICOM, {bits} bits"


def _check_transfer_syntax(file: Path) -> None:
    """Refuse what cannot be decoded here, before more than the file's meta information is read."""
    from pydicom.filereader import read_file_meta_info
    from pydicom.pixels import get_decoder
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

    syntax = read_file_meta_info(file).get("TransferSyntaxUID", ImplicitVRLittleEndian)
    try:
        # A deflated data set is inflated whole and without a limit as soon as it is read.
        usable = syntax != DeflatedExplicitVRLittleEndian and get_decoder(syntax).is_available
    except NotImplementedError:
        usable = False
    if not usable:
        raise ImageError(
            f"the transfer syntax {str(syntax.name)[:64]!r} cannot be decoded here; "
            "export the picture uncompressed or RLE lossless"
        )


def _check_dicom(dataset: DicomDataset) -> None:
    """Refuse a header that is not of one grey frame of affordable size."""
    from pydicom.uid import RLELossless

    photometric = dataset.get("PhotometricInterpretation")
    if int(dataset.get("SamplesPerPixel") or 1) != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise ImageError(f"the picture is not grey (photometric interpretation {str(photometric)[:16]!r}); {ACCEPTED}")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ImageError(f"the file holds {frames} frames where 1 is needed; {ACCEPTED}")
    columns, rows = int(dataset.get("Columns") or 0), int(dataset.get("Rows") or 0)
    check_declared(columns, rows)
    if not dataset.get("PixelData"):
        raise ImageError("the file holds no integer pixel data, or ends before them; export it again")
    # Runs expand up to 64 times, so a frame of runs longer than its own pixels is an attack, not a picture.
    declared_bytes = columns * rows * int(dataset.BitsAllocated) // 8
    if dataset.file_meta.TransferSyntaxUID == RLELossless and len(dataset.PixelData) > 2 * declared_bytes + 4096:
        raise ImageError(
            f"{len(dataset.PixelData)} bytes of runs claim to be {columns} columns x {rows} rows; export it again"
        )


def _apply_first_window(
    values: npt.NDArray[Any], dataset: DicomDataset, black: float, white: float
) -> tuple[npt.NDArray[Any], float, float]:
    """Apply the first window, else the first table of values of interest, and say which outputs are black and white.

    A window's ends are what it makes of values far below and far above it. A table's are the range of its bits.
    """
    from pydicom.pixels import apply_voi, apply_windowing

    if dataset.get("WindowCenter") not in (None, "") and dataset.get("WindowWidth") not in (None, ""):
        low, high = (float(end) for end in apply_windowing(np.array([-1e15, 1e15]), dataset, 0))
        return apply_windowing(values, dataset, 0), low, high
    if dataset.get("VOILUTSequence"):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        return apply_voi(values, dataset, 0), 0.0, float(2**bits - 1)
    return values, black, white
