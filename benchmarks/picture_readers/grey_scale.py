"""Grey-scale attributes, drawn for a case."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from benchmarks.picture_readers.cases import LOSSY_JPEG, Case
from tests.images.dicom_files import table


def grey_scale(case: Case, generator: np.random.Generator) -> dict[str, object]:
    """Grey-scale attributes: none, or some of rescale, tables, windows and padding."""
    least = -(1 << (case.stored - 1)) if case.signed else 0
    size = 1 << case.stored
    tags: dict[str, object] = {}
    kind = int(generator.integers(0, 8))
    slope, intercept = 1.0, 0.0
    if kind in (1, 2, 3):
        slope, intercept = float(generator.choice([0.5, 2, -1, 1.25])), float(generator.integers(-3000, 3000))
        tags |= {"RescaleSlope": slope, "RescaleIntercept": intercept, "RescaleType": "US"}
    if kind in (2, 3, 4, 5):
        middle = (least + size * float(generator.uniform(0.3, 0.9))) * slope + intercept
        function = str(generator.choice(["LINEAR", "LINEAR_EXACT", "SIGMOID"]))
        width = max(1.0, round(float(size * abs(slope) * generator.uniform(0.05, 1.2)), 2))
        tags |= {"WindowCenter": [round(middle, 2), 1], "WindowWidth": [width, 2]}
        if function != "LINEAR" or kind == 5:
            tags["VOILUTFunction"] = function
    if kind == 6:
        entries = sorted(generator.integers(0, 4096, 200).tolist())
        entries[-1] = 4095
        first = least + int(size * generator.uniform(0, 0.4))
        tags["VOILUTSequence"] = [_table(first, entries, 12, signed=case.signed)]
    if kind == 7:
        entries = generator.integers(0, 256, min(size, 300)).tolist()
        entries[-1] = 255
        tags["ModalityLUTSequence"] = [_table(least, entries, 8, signed=case.signed)]
    if generator.random() < 0.3 and case.encoder not in LOSSY_JPEG:  # DCMTK leaves half of it out there
        tags |= {"PixelPaddingValue": least, "PixelPaddingRangeLimit": least + int(size * generator.uniform(0, 0.2))}
    return tags


def _table(first: int, entries: list[int], bits: int, *, signed: bool) -> Dataset:
    item = table(first % 65536, entries, bits)
    if signed:
        item["LUTDescriptor"].VR = "SS"
        item["LUTDescriptor"].value = [len(entries), first, bits]
    item.ModalityLUTType = "US"
    return item
