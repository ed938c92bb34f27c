"""Your own pictures: a folder with one sub-folder a class."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryptml.datasets.base import Dataset, assign_subsets
from cryptml.errors import DatasetError, ImageError
from cryptml.images import central_region, crop, load_image
from cryptml.images.image import Floats

INDEX = "index.csv"
"""Optional table beside the sub-folders: columns ``file``, ``patient`` and optionally ``subset``."""


@dataclass(frozen=True)
class _Row:
    """One line of the index; an empty subset means that the patient's name decides."""

    patient: str
    subset: str


def load(path: Path, side: int) -> Dataset:
    """Load every picture below the folder, each as its largest central square.

    The sub-folders in alphabetical order are the classes; of two, the second is the positive one. Names that begin with
    a dot are skipped. Without an index a picture's patient is its file name up to the first ``_`` (``anna_left.png``
    and ``anna_right.png`` are one patient, in whatever class they lie). An index must name every picture, as
    ``class/name``; without a subset there, the patient's name decides (70, 15 and 15 %).

    Args:
        path: The folder.
        side: Side of the result in pixels; no picture may be smaller.

    Raises:
        DatasetError: If there are fewer than two classes, one is empty, a picture is unreadable, too small or not in
            the index, the index is malformed, or a patient is in two subsets.
    """
    classes = _classes(path)
    files = [(label, file) for label, name in enumerate(classes) for file in _pictures(path / name)]
    names = [f"{classes[label]}/{file.name}" for label, file in files]
    index = _read_index(path / INDEX, names)
    rows = [index[name] for name in names]
    patients = [row.patient for row in rows]
    given = [row.subset for row in rows]
    subsets = tuple(own or hashed for own, hashed in zip(given, assign_subsets(patients), strict=True))
    images = np.stack([_square(file, side) for _, file in files])
    labels = np.array([label for label, _ in files], np.int64)
    return Dataset(path.resolve().name or "folder", images, labels, tuple(patients), classes, subsets)


def _classes(path: Path) -> tuple[str, ...]:
    """The names of the sub-folders, sorted."""
    if not path.is_dir():
        raise DatasetError(f"{path} is not a folder; give one with a sub-folder a class")
    names = tuple(sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")))
    if len(names) < 2:
        raise DatasetError(f"{path} has {len(names)} sub-folders where at least 2 are needed; make one for each class")
    return names


def _pictures(folder: Path) -> list[Path]:
    """The files of one class, sorted by name."""
    files = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    if not files:
        raise DatasetError(f"the class folder {folder} is empty; add pictures or remove it")
    for file in files:
        if file.is_dir():
            raise DatasetError(f"{file} is a folder inside a class folder; move its pictures up or remove it")
    return files


def _square(file: Path, side: int) -> Floats:
    """The largest central square of a picture, reduced to float32 (side, side)."""
    try:
        image = load_image(file)
        return crop(image, central_region(image), side)
    except ImageError as error:
        raise DatasetError(f"the picture {file} cannot be used: {error}") from error


def _read_index(file: Path, names: list[str]) -> dict[str, _Row]:
    """Patient and subset of every picture, from the index or from the file names."""
    if not file.exists():
        return {name: _Row(Path(name).stem.split("_", 1)[0], "") for name in names}
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = _parse_index(csv.DictReader(stream, strict=True), file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{file} is not a readable CSV table ({error}); save it as UTF-8 CSV") from error
    for name in names:
        if name not in rows:
            raise DatasetError(f"the picture {name} is not in {file}; add its row or remove the picture")
    known = set(names)
    for name in rows:
        if name not in known:
            raise DatasetError(
                f"{file} names {name}, which is not among the pictures; write class/name or remove the row"
            )
    return rows


def _parse_index(reader: csv.DictReader[str], file: Path) -> dict[str, _Row]:
    """The rows of an index by file; line numbers in errors count from 1, the header included."""
    columns = reader.fieldnames or []
    if not {"file", "patient"} <= set(columns):
        raise DatasetError(f"{file} has the columns {list(columns)}; it needs file and patient, and may have subset")
    rows: dict[str, _Row] = {}
    for fields in reader:
        name, patient = (fields["file"] or "").strip(), (fields["patient"] or "").strip()
        subset = (fields.get("subset") or "").strip()
        if not name or not patient:
            raise DatasetError(f"line {reader.line_num} of {file} lacks a file or a patient; fill in both")
        if name in rows:
            raise DatasetError(f"line {reader.line_num} of {file} names {name} a second time; keep one row a picture")
        rows[name] = _Row(patient, subset)
    return rows
