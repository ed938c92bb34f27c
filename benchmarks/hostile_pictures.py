"""Pictures that are damaged in thousands of ways, read by `cryptml.images.load_image` one after another.

    python -m benchmarks.hostile_pictures [--count 5000] [--seed 1]

Whatever a file holds, it gives a picture, or one `ImageError` of one printable line; the process that asks does not crash, hang or grow,
and those that decode stay within their limit of memory and are replaced where they die. Whatever else comes fails the command.
The damage follows from the seed, but names that encoders give their files do not: a file that does what none may is kept.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.TiffImagePlugin
from pydicom.dataset import Dataset
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.decoders import DecoderWatch
from benchmarks.picture_readers import ENCODERS, Case, write
from cryptml.errors import ImageError, MeasurementError
from cryptml.images import FrameChoice, load_image
from cryptml.images.limits import ADDRESS_BYTES, READ_SECONDS
from cryptml.processes.memory import peak_resident_bytes, reset_peak
from tests.images import independent_readers as readers
from tests.images.dicom_files import table, write_dicom

MOST_CHARACTERS = 1000
"""Of a refusal, beside the file's own name."""

MOST_GROWTH = 64 << 20
"""Bytes that the process that asks may come to hold on top of what it held, however many files it reads."""

MOST_SECONDS = READ_SECONDS + 10

CHOICES = (
    None,
    FrameChoice(1, 1, projected=False),
    FrameChoice(2, 2, projected=False),
    FrameChoice(None, None, projected=True),
)


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


NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)

Mutation = Callable[[random.Random, bytearray, bytes], None]


def _place(generator: random.Random, data: bytearray) -> int:
    """Somewhere in a file, in its first part more often: headers lie there."""
    most = max(1, len(data))
    return generator.randrange(min(most, 1200)) if generator.random() < 0.6 else generator.randrange(most)


def _flip_bits(generator: random.Random, data: bytearray, _: bytes) -> None:
    for _each in range(generator.choice((1, 1, 3, 20))):
        data[_place(generator, data)] ^= 1 << generator.randrange(8)


def _change_bytes(generator: random.Random, data: bytearray, _: bytes) -> None:
    for _each in range(generator.choice((1, 1, 4, 30))):
        data[_place(generator, data)] = generator.choice((0, 1, 0x7F, 0x80, 0xFF, generator.randrange(256)))


def _cut(generator: random.Random, data: bytearray, _: bytes) -> None:
    del data[_place(generator, data) + 1 :]


def _insert(generator: random.Random, data: bytearray, _: bytes) -> None:
    place, length = _place(generator, data), generator.choice((1, 2, 4, 100, 5000))
    data[place:place] = (
        bytes([generator.choice((0, 0xFF, 0x41))]) * length if generator.random() < 0.5 else generator.randbytes(length)
    )


def _delete(generator: random.Random, data: bytearray, _: bytes) -> None:
    place = _place(generator, data)
    del data[place : place + generator.choice((1, 2, 4, 50, 1000))]


def _duplicate(generator: random.Random, data: bytearray, _: bytes) -> None:
    place, length = _place(generator, data), generator.choice((4, 8, 30, 300, 3000))
    data[place:place] = data[place : place + length] * generator.choice((1, 1, 2, 40))


def _set_number(generator: random.Random, data: bytearray, _: bytes) -> None:
    size, number = generator.choice((2, 4)), generator.choice(NUMBERS)
    place = _place(generator, data) & ~1
    order = "little" if generator.random() < 0.6 else "big"
    data[place : place + size] = (number % (1 << 8 * size)).to_bytes(size, order)  # type: ignore[arg-type]


_TAG = re.compile(rb"[\x02\x08\x10\x18\x20\x28]\0[\0-\xff]\0[A-Z]{2}", re.DOTALL)
_LENGTH = re.compile(rb"(?:US|DS|CS|IS|UI|OW|OB|SQ|UN|SS|LO)(?=[\0-\xff]{2})|\xfe\xff\0\xe0", re.DOTALL)


def _swap_tags(generator: random.Random, data: bytearray, _: bytes) -> None:
    found = [each.start() for each in _TAG.finditer(data)]
    if len(found) > 1:
        one, other = generator.sample(found, 2)
        data[one : one + 4], data[other : other + 4] = data[other : other + 4], data[one : one + 4]


def _set_length(generator: random.Random, data: bytearray, _: bytes) -> None:
    """The length that follows a DICOM value representation or the tag of an item."""
    found = [each.end() for each in _LENGTH.finditer(data)]
    if found:
        place = generator.choice(found)
        size = generator.choice((2, 4))
        data[place : place + size] = (generator.choice(NUMBERS) % (1 << 8 * size)).to_bytes(size, "little")


def _splice(generator: random.Random, data: bytearray, other: bytes) -> None:
    data[_place(generator, data) :] = other[_place(generator, bytearray(other)) :]


def _declare(generator: random.Random, data: bytearray, _: bytes) -> None:
    """Rows, columns, frames, bits or samples of another size, in whichever header there is."""
    huge = generator.choice((0, 1, 255, 4096, 8191, 16384, 32767, 65535))
    for pattern, size, order in (
        (rb"\x28\0(?:\x10|\x11|\x02|\0)[\0\x01](?:US\x02\0|\x02\0\0\0)", 2, "little"),  # DICOM
        (rb"\0\x28\0(?:\x10|\x11)US\0\x02", 2, "big"),
        (rb"IHDR|IHDR[\0-\xff]{4}", 4, "big"),
        (rb"\xff[\xc0-\xc3\xf7]\0.\x08|\xff[\xc0-\xc3\xf7]\0.\x08..", 2, "big"),
        (rb"[\0\x01\x02\x11\x15\x16\x17]\x01[\x03\x04]\0\x01\0\0\0", 4, "little"),  # TIFF
        (rb"\x28\0\0\0|\x28\0\0\0[\0-\xff]{4}", 4, "little"),  # BMP
        (rb"\xff\x51[\0-\xff]{4}|\xff\x51[\0-\xff]{8}", 4, "big"),  # JPEG 2000
    ):
        places = [each.end() for each in re.finditer(pattern, bytes(data), re.DOTALL)]
        if places and generator.random() < 0.8:
            place = generator.choice(places)
            data[place : place + size] = huge.to_bytes(size, order)  # type: ignore[arg-type]
    if data.startswith(b"P5") and generator.random() < 0.8:
        data[:] = re.sub(rb"\d+", str(huge).encode(), bytes(data), count=generator.choice((1, 2, 3)))


MUTATIONS: Mapping[str, Mutation] = {
    "bits flipped": _flip_bits,
    "bytes changed": _change_bytes,
    "cut": _cut,
    "run inserted": _insert,
    "run deleted": _delete,
    "run duplicated": _duplicate,
    "number set": _set_number,
    "tags swapped": _swap_tags,
    "length set": _set_length,
    "spliced": _splice,
    "sizes declared": _declare,
}


def hostile(valid: Mapping[str, list[bytes]], generator: random.Random, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield formats and damaged files of them, all formats equally often."""
    forms = sorted(valid)
    for number in range(count):
        form = forms[number % len(forms)]
        data = bytearray(generator.choice(valid[form]))
        for name in generator.choices(sorted(MUTATIONS), k=generator.choice((1, 1, 1, 2, 3))):
            if data:
                MUTATIONS[name](generator, data, generator.choice(valid[generator.choice(forms)]))
        yield form, _with_checksums(data) if form == "PNG" and generator.random() < 0.7 else bytes(data)


def _with_checksums(data: bytearray) -> bytes:
    """A PNG whose chunks are what they say: decoders look no further at others."""
    place = 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        end = place + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">I", data, end, zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return bytes(data)


@dataclass
class Tally:
    """What came of the files of one format."""

    tried: int = 0
    read: int = 0
    refused: int = 0
    died: int = 0
    slowest: float = 0.0
    held: int = 0


@dataclass
class Trial:
    """Reads hostile files and keeps count.

    Attributes:
        folder: Where a file lies while it is read; one that does what none may is kept there.
    """

    folder: Path
    tallies: dict[str, Tally] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    growth: int = 0
    address_bytes: int = 0

    def run(self, files: Iterator[tuple[str, bytes]], seed: int, progress: Callable[[], None] = lambda: None) -> None:
        """Read every file; how frames are chosen follows from the seed."""
        generator = random.Random(seed)
        load_image(_valid(self.folder))  # what is imported once counts as no growth
        reset_peak()
        before = peak_resident_bytes()
        with DecoderWatch() as watch:
            running = watch.look()
            watch.most_held()
            for number, (form, data) in enumerate(files):
                running = self._one(number, form, data, generator.choice(CHOICES), watch, running)
                progress()
        self.growth, self.address_bytes = peak_resident_bytes() - before, watch.address_bytes
        if self.growth > MOST_GROWTH:
            self.wrong.append(f"this process grew by {self.growth} bytes, at most {MOST_GROWTH} are allowed")
        if self.address_bytes > ADDRESS_BYTES:
            self.wrong.append(
                f"a decoder took {self.address_bytes} bytes of addresses, at most {ADDRESS_BYTES} are allowed"
            )

    def _one(
        self, number: int, form: str, data: bytes, choice: FrameChoice | None, watch: DecoderWatch, running: set[int]
    ) -> set[int]:
        tally = self.tallies.setdefault(form, Tally())
        path = self.folder / f"{number}"
        path.write_bytes(data)
        started, wrong = time.perf_counter(), ""
        try:
            image = load_image(path, choice)
            tally.read += 1
            low, high = float(image.pixels.min()), float(image.pixels.max())
            if not (0 <= low <= high <= 1) or not np.isfinite(image.pixels).all() or not image.source.isprintable():
                wrong = f"a picture from {low} to {high}, {image.source!r}"
        except ImageError as error:
            tally.refused += 1
            said = str(error).removeprefix(f"{path}: ")
            kind = re.sub(r"[\d.]+", "N", said)[:60]
            self.refusals[kind] = self.refusals.get(kind, 0) + 1
            if not said.strip() or not said.isprintable() or len(said) > MOST_CHARACTERS:
                wrong = f"a refusal that is not one printable line of {MOST_CHARACTERS} characters: {said[:80]!r}"
        except BaseException as error:  # noqa: BLE001 (what is looked for)
            wrong = f"{type(error).__name__}: {error}"
        seconds = time.perf_counter() - started
        now = watch.look()
        tally.tried += 1
        tally.died += len(running - now)
        tally.slowest = max(tally.slowest, seconds)
        tally.held = max(tally.held, watch.most_held())
        if seconds > MOST_SECONDS:
            wrong = f"took {seconds:.0f} s"
        if wrong:
            self.wrong.append(f"{form} {number}: {wrong}")
        else:
            path.unlink()
        return now

    def table(self) -> Table:
        """Return the counts as a table."""
        shown = Table("format")
        for name in ("tried", "read", "refused", "decoder died", "slowest s", "most MB"):
            shown.add_column(name, justify="right")
        for form in sorted(self.tallies):
            shown.add_row(form, *_cells(self.tallies[form]))
        every = self.tallies.values()
        total = Tally(
            *(sum(getattr(each, name) for each in every) for name in ("tried", "read", "refused", "died")),
            max((each.slowest for each in every), default=0.0),
            max((each.held for each in every), default=0),
        )
        shown.add_section()
        shown.add_row("all", *_cells(total))
        return shown


def _cells(tally: Tally) -> list[str]:
    counts = [str(each) for each in (tally.tried, tally.read, tally.refused, tally.died)]
    return [*counts, f"{tally.slowest:.2f}", f"{tally.held / 1e6:.0f}"]


def _valid(folder: Path) -> Path:
    path = folder / "valid.dcm"
    write_dicom(path)
    return path


def main() -> None:
    """Read the files, print what came of them and fail where that may not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hostile-pictures-"))
    trial = Trial(folder)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("hostile pictures", total=options.count)
        files = hostile(seeds(), random.Random(options.seed), options.count)
        try:
            trial.run(files, options.seed, lambda: progress.advance(task))
        except MeasurementError as error:
            sys.exit(str(error))
    output = Console(width=120)
    output.print(trial.table())
    output.print(
        f"this process grew by {trial.growth / 1e6:.0f} MB; decoders had {trial.address_bytes / 2**30:.2f} GiB of addresses at most, of "
        f"{ADDRESS_BYTES / 2**30:.0f} allowed; {len(trial.refusals)} kinds of refusal"
    )
    for each in trial.wrong:
        output.print(f"wrong: {each} (kept in {folder})", markup=False, highlight=False)
    sys.exit(1 if trial.wrong else 0)


if __name__ == "__main__":
    main()
