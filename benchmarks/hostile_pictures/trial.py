"""Reads damaged files and counts what came of them, by format."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.table import Table

from benchmarks.decoders import DecoderWatch
from cryptml.errors import ImageError
from cryptml.images import FrameChoice, load_image
from cryptml.images.limits import ADDRESS_BYTES, READ_SECONDS
from cryptml.processes.memory import peak_resident_bytes, reset_peak
from tests.images.dicom_files import write_dicom

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
            tried=sum(each.tried for each in every),
            read=sum(each.read for each in every),
            refused=sum(each.refused for each in every),
            died=sum(each.died for each in every),
            slowest=max((each.slowest for each in every), default=0.0),
            held=max((each.held for each in every), default=0),
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
