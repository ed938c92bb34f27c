"""The index of a folder of pictures: one line a picture, every problem found at once."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from cryptml.datasets.problems import listed
from cryptml.datasets.subsets import SUBSETS
from cryptml.errors import DatasetError, ImageError, counted
from cryptml.files import read_bounded
from cryptml.images import FrameChoice, Region

INDEX = "index.csv"
"""Name of the index, at the top of the folder."""

COLUMNS = (
    "file",
    "patient",
    "label",
    "subset",
    "view",
    "laterality",
    "roi_x",
    "roi_y",
    "roi_size",
    "mask",
    "frame",
)
"""Columns that are read; ``file`` is needed, others than these are passed over."""

CLOSE = 0.75
"""How alike a column's name and one of `COLUMNS` are from which on a slip is supposed (`difflib`)."""

MEANT = {
    **dict.fromkeys(("class", "classe", "clase", "klasse", "diagnosis", "diagnose", "target"), "label"),
    **dict.fromkeys(("filename", "image", "path", "datei", "bild", "fichier", "archivo"), "file"),
    **dict.fromkeys(("patient_id", "patientid", "subject", "person", "paciente"), "patient"),
    **dict.fromkeys(("split", "fold", "set"), "subset"),
    **dict.fromkeys(("side", "seite"), "laterality"),
}
"""Columns of other tables, and which of ours is probably meant."""

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
"""What may stand between fields; of equals the first."""

ROI = ("roi_x", "roi_y", "roi_size")
MAX_BYTES = 64 << 20
"""Of an index."""

MOST_CHARACTERS = 100
"""Of a label, a patient and a view."""

LATERALITIES = {"": "", "l": "L", "left": "L", "r": "R", "right": "R"}


@dataclass(frozen=True)
class IndexRow:
    """One line: what is said of a picture. Texts are empty where nothing is said.

    Attributes:
        line: Its number; the heading is line 1.
        file: Path below the folder, with ``/`` between its parts.
        patient: Whose picture it is.
        label: Its class.
        subset: One of `SUBSETS`.
        view: Such as ``CC``.
        laterality: ``L`` or ``R``.
        region: Square to use of it.
        mask: Path, below the folder, of a picture that is not black where the region is.
        frame: Which of the file's frames; None for a file of one picture.
    """

    line: int
    file: str
    patient: str
    label: str
    subset: str
    view: str
    laterality: str
    region: Region | None
    mask: str
    frame: FrameChoice | None


@dataclass(frozen=True)
class Index:
    """A whole index.

    Attributes:
        file: Where it was read.
        columns: Those of `COLUMNS` that it has.
        rows: By file.
        problems: What is wrong with lines, in their order; such lines are among the rows where it is known which picture they mean.
    """

    file: Path
    columns: frozenset[str]
    rows: dict[str, IndexRow]
    problems: tuple[str, ...]

    def require_no_problems(self, more: Sequence[str] = ()) -> None:
        """Refuse an index with problems, naming them.

        Args:
            more: Further ones, of the index as a whole.

        Raises:
            DatasetError: If there is any.
        """
        problems = [*self.problems, *more]
        if problems:
            count = counted(len(problems), "problem")
            raise DatasetError(f"{self.file} has {count}: {listed(problems)}; correct the index or the folder")


def read_index(file: Path) -> Index:
    """Read an index: UTF-8, with or without a byte order mark; commas, semicolons or tabs, whichever the heading has.

    A first line such as ``sep=;``, which Excel writes and heeds, says the separator.

    Args:
        file: Of at most `MAX_BYTES`.

    Raises:
        DatasetError: If it is no such table, or its heading lacks ``file`` or names a column twice. Problems of lines are in the result.
    """
    try:
        text = read_bounded(file, MAX_BYTES, DatasetError).decode("utf-8-sig")
        separator, skipped = _separator(text)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        lines = [(reader.line_num, fields) for fields in reader if any(map(str.strip, fields))][skipped:]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{file} is not a readable CSV table ({error}); save it as CSV in UTF-8") from error
    names = [name.strip().casefold() for name in lines[0][1]] if lines else []
    twice = sorted({name for name in names if name in COLUMNS and names.count(name) > 1})
    if "file" not in names or twice:
        said = f"the column {twice[0]} twice" if twice else f"the columns {', '.join(names)[:200] or 'none'}"
        raise DatasetError(
            f"{file} has {said}; it needs the column file, and may have {', '.join(COLUMNS[1:])}, each once"
        )
    for name in names:
        missing = [each for each in COLUMNS if each not in names]
        meant = [each for each in (MEANT.get(name),) if each in missing] or get_close_matches(name, missing, 1, CLOSE)
        if name not in COLUMNS and meant:
            raise DatasetError(
                f"{file} has the column {name[:100]!r}, which would be passed over; call it {meant[0]} if that is meant, and otherwise "
                "something else"
            )
    root, rows, problems = file.parent.resolve(), {}, []
    for line, fields in lines[1:]:
        other = next((each for each in SEPARATORS if len(fields) == 1 < len(names) and each in fields[0]), None)
        if other is not None:
            problems.append(f"line {line} has {SEPARATORS[other]} where the heading has {SEPARATORS[separator]}")
            continue
        if len(fields) > len(names):
            problems.append(f"line {line} has {len(fields)} fields for {len(names)} columns")
            continue
        given = {name: field.strip() for name, field in zip(names, fields, strict=False) if name in COLUMNS}
        row, found = _read_row(line, given, frozenset(names), root)
        if row is not None and row.file in rows:
            found = [f"line {line} names {row.file} a second time"]
        elif row is not None:
            rows[row.file] = row
        problems += found
    return Index(file, frozenset(names) & frozenset(COLUMNS), rows, tuple(problems))


def _separator(text: str) -> tuple[str, int]:
    """Return what stands between fields, and how many lines say that and nothing else."""
    first = text.partition("\n")[0].rstrip("\r").strip('"')
    if first.casefold().startswith("sep=") and first[4:] in SEPARATORS:
        return first[4:], 1
    counts = {each: text.partition("\n")[0].count(each) for each in SEPARATORS}
    return max(SEPARATORS, key=lambda each: counts[each]), 0


def _read_row(
    line: int, given: dict[str, str], columns: frozenset[str], root: Path
) -> tuple[IndexRow | None, list[str]]:
    """The row, where it is known which picture it means, and what is wrong with it."""
    name, wrong = _relative(given.get("file", ""), root)
    if wrong:
        return None, [f"line {line}: the file {wrong}"]
    problems: list[str] = []
    problems += [
        f"line {line} lacks a {column}"
        for column in ("patient", "label")
        if column in columns and not given.get(column)
    ]
    for column in ("patient", "label", "view"):
        value = given.get(column, "")
        if len(value) > MOST_CHARACTERS or not value.isprintable():
            problems.append(
                f"line {line} has a {column} that is longer than {MOST_CHARACTERS} characters or cannot be shown"
            )
    subset = given.get("subset", "").casefold()
    if subset and subset not in SUBSETS:
        problems.append(f"line {line} has the subset {subset[:40]!r}, which is none of {', '.join(SUBSETS)}")
        subset = ""
    laterality = given.get("laterality", "").casefold()
    if laterality not in LATERALITIES:
        problems.append(f"line {line} has the laterality {laterality[:40]!r}, which is none of L, R, left, right")
    region, wrong = _region([given.get(column, "") for column in ROI])
    mask = given.get("mask", "")
    if not wrong and region is not None and mask:
        wrong = "has both a region and a mask; keep one"
    if wrong:
        problems.append(f"line {line} {wrong}")
    if mask:
        mask, wrong = _relative(mask, root)
        if wrong:
            problems.append(f"line {line}: the mask {wrong}")
    frame, wrong = _frame(given.get("frame", ""))
    if wrong:
        problems.append(f"line {line} has a frame that cannot be chosen: {wrong}")
    row = IndexRow(
        line,
        name,
        given.get("patient", ""),
        given.get("label", ""),
        subset,
        given.get("view", ""),
        LATERALITIES.get(laterality, ""),
        region,
        mask,
        frame,
    )
    return row, problems


def _frame(text: str) -> tuple[FrameChoice | None, str]:
    """The frames that become a picture, or what is wrong with them."""
    if not text:
        return None, ""
    try:
        choice = FrameChoice.parse(text)
    except ImageError as error:
        return None, str(error)
    return (choice, "") if choice.is_one else (None, "a line is one picture; name one frame, or max")


def _region(fields: list[str]) -> tuple[Region | None, str]:
    """The region that three fields say, or what is wrong with them."""
    if not any(fields):
        return None, ""
    try:
        return Region.parse(",".join(fields)), ""
    except ImageError:
        return (
            None,
            f"has the region {', '.join(field[:20] or 'nothing' for field in fields)}, which is not {', '.join(ROI)} in whole pixels",
        )


def _relative(text: str, root: Path) -> tuple[str, str]:
    """A path below the folder in its one spelling, or what is wrong with it."""
    name = text.replace("\\", "/")
    path = PurePosixPath(name)
    shown = repr(text[:80])
    if not text or not path.name:
        return "", "has no name"
    if path.is_absolute() or name[1:2] == ":" or ".." in path.parts:
        return "", f"{shown} is not a path below the folder"
    try:
        if not (root / path).resolve().is_relative_to(root):
            return "", f"{shown} is a link that leads out of the folder"
        if not (root / path).is_file():
            return "", f"{shown} does not exist"
    except (OSError, RuntimeError, ValueError):  # too long, a ring of links, a null byte
        return "", f"{shown} cannot be looked up"
    return path.as_posix(), ""
