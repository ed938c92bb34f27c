"""Valid files of every format that is read, to be damaged."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Collection
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.TiffImagePlugin
from pydicom.dataset import Dataset

from benchmarks.picture_readers.cases import ENCODERS, Case
from benchmarks.picture_readers.writing import write
from tests.images import independent_readers as readers
from tests.images.dicom_files import table, write_dicom

FEW = (
    "explicit",
    "implicit",
    "big endian",
    "deflated",
    "RLE",
    "JPEG baseline",
    "JPEG lossless SV1",
    "JPEG-LS",
    "JPEG 2000 lossless",
)
"""Encoders whose files take least time to write, of each family one."""


def seeds(encoders: Collection[str] = ENCODERS) -> dict[str, list[bytes]]:
    """Return valid files by format, of each kind that is written here.

    Args:
        encoders: Names of those whose DICOM files are wanted, of `ENCODERS`.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return {**_dicom(folder, encoders), **_rasters()}


def _dicom(folder: Path, encoders: Collection[str]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    written = set(encoders) - {"JPEG extended, 12"} if readers.absent() is None else {"RLE, pydicom"}
    for encoder in sorted(written):
        for case in (
            Case(
                0, encoder, 16, 12, 0, "MONOCHROME2", signed=False, frames=1, seed=6
            ),  # with a table of values of interest
            Case(0, encoder, 8, 8, 0, "MONOCHROME1", signed=False, frames=3, seed=2),
            Case(0, encoder, 16, 16, 0, "MONOCHROME2", signed=True, frames=2, seed=1),
            Case(0, encoder, 8, 8, 0, "RGB", signed=False, frames=1, seed=1),
        ):
            try:
                path = write(case, folder)
            except readers.CannotReadError:
                continue
            family = next(each for each in ("RLE", "JPEG-LS", "JPEG 2000", "JPEG", encoder) if encoder.startswith(each))
            found.setdefault(f"DICOM, {family}", []).append(path.read_bytes())
    values = np.arange(60, dtype=np.uint16).reshape(3, 4, 5) * 60
    groups = []
    for each in range(3):
        item, window, measures = Dataset(), Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth = 2000 + each, 900
        measures.PixelSpacing = [0.1, 0.05]
        item.FrameVOILUTSequence, item.PixelMeasuresSequence = [window], [measures]
        groups.append(item)
    write_dicom(folder / "groups.dcm", values, 12, NumberOfFrames=3, PerFrameFunctionalGroupsSequence=groups)
    write_dicom(
        folder / "tables.dcm", values[0], 12, ModalityLUTSequence=[table(0, [*range(255), 255], 8)],
        VOILUTSequence=[table(0, [*range(255), 255], 8)], PixelPaddingValue=0,
    )  # fmt: skip
    small = [(folder / each).read_bytes() for each in ("groups.dcm", "tables.dcm")]
    return {**found, "DICOM, groups and tables": small}


def _rasters() -> dict[str, list[bytes]]:
    grey = PIL.Image.fromarray((np.add.outer(np.arange(61), np.arange(83)) * 1.7).astype(np.uint8))
    wide = PIL.Image.fromarray(np.add.outer(np.arange(61), np.arange(83)).astype(np.uint16) * 450)
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    colour, dots, palette = grey.convert("RGB"), grey.convert("1"), grey.quantize(16)
    kinds: dict[str, list[tuple[PIL.Image.Image, dict[str, object]]]] = {
        "JPEG": [
            (grey, {}),
            (grey, {"progressive": True}),
            (grey, {"exif": exif}),
            (colour, {"quality": 95}),
            (grey, {"restart_marker_blocks": 4}),
        ],
        "TIFF": [
            (grey, {}),
            (wide, {}),
            (grey, {"compression": "tiff_lzw"}),
            (wide, {"compression": "tiff_adobe_deflate"}),
            (grey, {"compression": "packbits"}),
            (dots, {"compression": "tiff_lzw"}),
            (grey, {"save_all": True, "append_images": [wide, dots]}),
            (colour, {"compression": "tiff_lzw"}),
        ],
        "PNG": [(each, {}) for each in (grey, wide, colour, dots, palette)] + [(grey, {"exif": exif})],
        "BMP": [(each, {}) for each in (grey, colour, dots, palette)],
        "PPM": [(each, {}) for each in (grey, wide)],
    }
    found: dict[str, list[bytes]] = {}
    for form, pictures in kinds.items():
        for picture, options in pictures:
            stream = io.BytesIO()
            picture.save(stream, form, **options)
            found.setdefault("PGM" if form == "PPM" else form, []).append(stream.getvalue())
    return found
