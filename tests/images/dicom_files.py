"""DICOM files of a few pixels, made by hand."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

RAMP = np.arange(12, dtype=np.uint16).reshape(3, 4) * 300


def write_dicom(path: Path, stored: np.ndarray[Any, Any] = RAMP, bits: int = 12, **tags: object) -> Path:
    """An uncompressed MONOCHROME2 file of 3 x 4 pixels; tags replace or, when None, remove what is there."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = tags.pop("syntax", ExplicitVRLittleEndian)
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = SecondaryCaptureImageStorage, meta.MediaStorageSOPInstanceUID
    file.Rows, file.Columns = stored.shape[-2:]
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.PixelRepresentation = int(stored.dtype.kind == "i")
    if stored.ndim == 3 and "SamplesPerPixel" not in tags:
        file.NumberOfFrames = len(stored)
    file.BitsAllocated = file.BitsStored = 8 * stored.itemsize  # encoders look whether values fit
    file.HighBit = file.BitsStored - 1
    file.PixelData = stored.tobytes()
    if meta.TransferSyntaxUID == RLELossless:
        file.compress(RLELossless, stored, generate_instance_uid=False)
    file.BitsStored, file.HighBit = bits, bits - 1
    big, implicit = (meta.TransferSyntaxUID == each for each in (ExplicitVRBigEndian, ImplicitVRLittleEndian))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in tags.items():
            if value is None:
                delattr(file, name)
            else:
                setattr(file, name, value)
        if big or implicit:
            dcmwrite(path, file, implicit_vr=implicit, little_endian=not big, force_encoding=True)
        else:
            file.save_as(path, enforce_file_format=True)
    return path


def item(**values: object) -> Dataset:
    """An item of a sequence."""
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def table(first: int, values: list[int], bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), first, bits])
    item.add_new("LUTData", "US", values)
    return item
