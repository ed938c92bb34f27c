"""Writes a case's file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import UID, RLELossless

from benchmarks.picture_readers.cases import ENCODERS, MAMMOGRAMS, Case
from benchmarks.picture_readers.grey_scale import grey_scale
from tests.images import independent_readers as readers
from tests.images.dicom_files import write_dicom

PART = (97, 81)
"""Rows and columns of a mammogram that are saved: odd, so that frames and rows end within words and runs."""


def write(case: Case, folder: Path) -> Path:
    """Write a case's file.

    Raises:
        CannotReadError: If the encoder does not write such a file.
    """
    generator = np.random.default_rng(case.seed)
    values = _values(case, generator)
    tags: dict[str, object] = {"PhotometricInterpretation": case.photometric}
    if case.photometric == "RGB":
        tags |= {"SamplesPerPixel": 3, "PlanarConfiguration": 0}
        cells = np.repeat(values.astype(np.uint8)[..., None], 3, axis=-1)
    else:
        tags |= grey_scale(case, generator)
        cells = (values << case.low).astype(f"{'i' if case.signed else 'u'}{case.allocated // 8}")
        tags["HighBit"] = case.stored + case.low - 1
    if case.frames > 1:
        tags["NumberOfFrames"] = case.frames
    rows, columns = values.shape[1:]
    data = cells.tobytes()
    tags["PixelData"] = data + b"\0" * (len(data) % 2)
    native = folder / "native.dcm"
    write_dicom(native, cells[0, ..., 0] if case.photometric == "RGB" else cells, case.stored, **tags)
    written = folder / "case.dcm"
    command = ENCODERS[case.encoder]
    if command and command[0].startswith("dcm"):
        readers.run(command[0], "-q", *command[1:], native, written)
        return written
    file = pydicom.dcmread(native)
    assert (file.Rows, file.Columns) == (rows, columns)
    if case.encoder == "RLE, pydicom":
        if case.allocated == 16 and case.stored == 8:
            raise readers.CannotReadError("pydicom writes one byte of each cell of two; nothing reads that")
        file.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    else:
        frames = [_jpeg_2000(frame, case, folder, command) for frame in cells]
        file.PixelData = encapsulate(frames)
        file["PixelData"].is_undefined_length = True
        file.file_meta.TransferSyntaxUID = UID(readers.J2K if "-I" in command else readers.J2K_LOSSLESS)
        if case.photometric == "RGB":
            file.PhotometricInterpretation = "YBR_ICT" if "-I" in command else "YBR_RCT"
    file.save_as(written, enforce_file_format=True)
    return written


def _values(case: Case, generator: np.random.Generator) -> Any:
    """Parts of a mammogram, the first from where it is brightest: int64 (frames, rows, columns)."""
    whole = _pixels(case.source)
    rows, columns = PART
    blocks = whole[: whole.shape[0] // 64 * 64, : whole.shape[1] // 64 * 64].reshape(
        whole.shape[0] // 64, 64, whole.shape[1] // 64, 64
    )
    best = np.unravel_index(blocks.mean(axis=(1, 3)).argmax(), (blocks.shape[0], blocks.shape[2]))
    parts = []
    for place in range(case.frames):
        top, left = (int(each) * 64 + (int(generator.integers(-40, 40)) if place else 0) for each in best)
        top, left = min(max(top, 0), whole.shape[0] - rows), min(max(left, 0), whole.shape[1] - columns)
        parts.append(whole[top : top + rows, left : left + columns])
    values = np.stack(parts).astype(np.int64) >> (16 - case.stored)
    # Both ends of the range are there, so that no encoder may take the values for narrower than they are.
    values[:, 0, 0], values[:, 0, 1] = 0, (1 << case.stored) - 1
    return values - (1 << (case.stored - 1)) if case.signed else values


_KEPT: dict[int, Any] = {}


def _pixels(source: int) -> Any:
    if source not in _KEPT:
        _KEPT.clear()
        _KEPT[source] = pydicom.dcmread(MAMMOGRAMS[source]).pixel_array
    return _KEPT[source]


def _jpeg_2000(cells: Any, case: Case, folder: Path, options: Sequence[str]) -> bytes:
    raw, coded = folder / "cells.rawl", folder / "coded.j2k"
    samples = cells.shape[2] if cells.ndim == 3 else 1
    planes = np.moveaxis(cells, 2, 0) if samples == 3 else cells
    wide = planes.astype(planes.dtype if case.stored > 8 or case.allocated == 8 else f"{planes.dtype.kind}1")
    raw.write_bytes(np.ascontiguousarray(wide).tobytes())
    form = f"{cells.shape[1]},{cells.shape[0]},{samples},{case.stored},{'s' if case.signed else 'u'}"
    readers.run("opj_compress", "-i", raw, "-o", coded, "-F", form, *options)
    return coded.read_bytes() + b"\0" * (coded.stat().st_size % 2)
