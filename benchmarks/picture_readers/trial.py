"""Compares files and counts by transfer syntax."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pydicom
from pydicom.uid import UID
from rich.table import Table

from benchmarks.picture_readers.cases import Case
from benchmarks.picture_readers.judging import Verdict, judge
from benchmarks.picture_readers.writing import write
from tests.images import independent_readers as readers

PICTURES = Path(pydicom.__file__).parent / "data" / "test_files"


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
