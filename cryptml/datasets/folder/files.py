"""Which files of a folder are pictures, of which class and patient."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptml.datasets.folder.index import MOST_CHARACTERS, Index, IndexRow
from cryptml.errors import DatasetError, ImageError
from cryptml.files import is_system

PICTURE_SUFFIXES = frozenset({".bmp", ".dcm", ".dicom", ".jpeg", ".jpg", ".pgm", ".png", ".tif", ".tiff"})
"""What is called so and is not in an index with labels is a picture that was forgotten; all else is passed over."""

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One picture: its path below the folder, its class, and what the index says of it."""

    name: str
    label: str
    row: IndexRow | None


def list_entries(path: Path, index: Index | None) -> list[Entry]:
    """The pictures of the folder in the order of their names, the index compared with what is there."""
    if index is None:
        return [Entry(name, label, None) for name, label in _labelled(path)]
    masks = {row.mask for row in index.rows.values() if row.mask}
    labelled = "label" in index.columns
    if labelled:
        there = [name for name in _below(path) if Path(name).suffix.casefold() in PICTURE_SUFFIXES]
        found = {name: row.label for name, row in index.rows.items()}
    else:
        pairs = _labelled(path)
        there, found = [name for name, _ in pairs], dict(pairs)
    problems = [f"the picture {name} has no line" for name in there if name not in index.rows and name not in masks]
    for name, row in index.rows.items():
        if name not in found:
            problems.append(f"line {row.line} names {name}, which lies in no class folder")
        elif name in masks:
            problems.append(f"line {row.line} names {name}, which is a mask of another line")
    index.require_no_problems([*problems, *_divided(index)])
    if not index.rows:
        raise DatasetError(f"{index.file} names no picture; write a line for each")
    return [Entry(name, found[name], index.rows[name]) for name in sorted(index.rows)]


def _divided(index: Index) -> list[str]:
    """The patients whose pictures the index puts into more than one subset."""
    subsets: dict[str, set[str]] = {}
    for row in index.rows.values():
        if row.patient and row.subset:
            subsets.setdefault(row.patient, set()).add(row.subset)
    return [
        f"patient {name!r} is in the subsets {' and '.join(sorted(own))}"
        for name, own in subsets.items()
        if len(own) > 1
    ]


def _labelled(path: Path) -> list[tuple[str, str]]:
    """The pictures of the sub-folders with their classes, sorted."""
    classes = sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not is_system(entry.name))
    if len(classes) < 2:
        raise DatasetError(
            f"{path} has {len(classes)} sub-folders where at least 2 are needed; make one for each class"
        )
    unfit = [name for name in classes if len(name) > MOST_CHARACTERS or not name.isprintable()]
    if unfit:
        raise DatasetError(
            f"the folder {unfit[0]!r} cannot name a class: it has more than {MOST_CHARACTERS} characters, or some that cannot be "
            "shown; rename it"
        )
    pairs = []
    for label in classes:
        files = sorted(entry for entry in (path / label).iterdir() if not is_system(entry.name))
        if not files:
            raise DatasetError(f"the class folder {path / label} is empty; add pictures or remove it")
        for file in files:
            if file.is_dir():
                raise DatasetError(f"{file} is a folder inside a class folder; move its pictures up or remove it")
            pairs.append((f"{label}/{file.name}", label))
    return pairs


def _below(path: Path) -> list[str]:
    """All files at any depth, links to folders not followed, by their paths below the folder."""
    found = []
    for folder, folders, files in os.walk(path):
        folders[:] = [name for name in folders if not is_system(name)]
        found += [(Path(folder) / name).relative_to(path).as_posix() for name in files if not is_system(name)]
    return sorted(found)


def file_digest(file: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise ImageError(f"{file} cannot be read ({error.strerror}); check its permissions") from error
    return digest.hexdigest()
