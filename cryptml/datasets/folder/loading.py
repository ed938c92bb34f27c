"""Your own pictures: a folder with one sub-folder a class, or with an index that says the classes.

The page ``docs/your-own-pictures.md`` is for who has such a folder.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from cryptml.datasets.base import Dataset, Indices, Source
from cryptml.datasets.duplicates import find_duplicates, require_apart
from cryptml.datasets.folder.files import Entry, file_digest, list_entries
from cryptml.datasets.folder.index import INDEX, Index, read_index
from cryptml.datasets.folder.mask import mask_region
from cryptml.datasets.options import NO_OPTIONS, LoadOptions
from cryptml.datasets.problems import listed
from cryptml.datasets.subsets import stratify
from cryptml.errors import DatasetError, ImageError
from cryptml.images import central_region, crop, load_image
from cryptml.images.image import Floats

MOST_THREADS = 16

MOST_VALUES = 1 << 30
"""Pixels of all reduced pictures together (4 GiB)."""

AUGMENTATION = "shift"
"""The set may have classes that differ by side or direction: pictures are turned and mirrored only where the user asks for it."""


def load(path: Path, side: int, options: LoadOptions = NO_OPTIONS, *, most_values: int = MOST_VALUES) -> Dataset:
    """Load every picture below the folder, reduced to squares of one size.

    Without an index, or with one that has no column ``label``, the sub-folders in alphabetical order are the classes. With
    labels in the index
    pictures may lie anywhere below the folder. The square of a picture is the one that the index says, the one around what its mask
    shows, or the largest central one. Patients are those of the index or of ``options.patients_from_name``; else every picture stands for
    itself. Pictures without a subset in the index get one from `cryptml.datasets.subsets.stratify`, or that of their patient.
    Files of operating systems are skipped (`cryptml.files.is_system`). Pictures are read by 2 to `MOST_THREADS` threads.

    Args:
        path: The folder.
        side: Side of the result in pixels; no square may be smaller.
        options: How patients are found, and who hears of the progress.
        most_values: Pixels that all reduced pictures together may have.

    Raises:
        DatasetError: If there are fewer than two classes, one is empty, pictures are unreadable or too small (all are named), the index is
            malformed or does not fit the folder (every problem is named), a patient is in two subsets, a name has no patient, or the same
            picture is in two subsets (all are named).
    """
    if not path.is_dir():
        raise DatasetError(f"{path} is not a folder; give one with a sub-folder a class, or with an {INDEX}")
    others = sorted(entry.name for entry in path.iterdir() if entry.name != INDEX and entry.name.casefold() == INDEX)
    if others:
        raise DatasetError(f"{path / others[0]} is no index by its name; call it {INDEX}")
    index = read_index(path / INDEX) if os.path.lexists(path / INDEX) else None
    entries = list_entries(path, index)
    name = path.resolve().name or "folder"
    if len(entries) * side * side > most_values:
        raise DatasetError(
            f"{len(entries)} pictures of {side} x {side} pixels are more than {most_values} values; "
            f"choose a side of at most {int((most_values / len(entries)) ** 0.5)} or fewer pictures"
        )
    classes = tuple(sorted({entry.label for entry in entries}))
    if len(classes) < 2:
        raise DatasetError(f"{path / INDEX} has the label {classes[0]!r} only; at least 2 are needed")
    labels = np.array([classes.index(entry.label) for entry in entries], np.int64)
    patients = _patients(path, entries, index, options)
    subsets = _subsets(path, entries, patients, labels)
    images, sources = _read(path, entries, side, options)
    dataset = Dataset(
        name,
        images,
        labels,
        tuple(patients or [entry.name for entry in entries]),
        classes,
        subsets,
        patients_known=patients is not None,
        augmentation=AUGMENTATION,
        sources=sources,
    )
    require_apart(dataset)
    return dataset if dataset.patients_known else _with_copies_together(dataset)


def _with_copies_together(dataset: Dataset) -> Dataset:
    """The set with the copies of a picture counted as one, so that no fold is judged on what it learned."""
    patients = list(dataset.patients)
    for first, *others in find_duplicates(dataset):
        for place in others:
            patients[place] = patients[first]
    return replace(dataset, patients=tuple(patients))


def _patients(path: Path, entries: list[Entry], index: Index | None, options: LoadOptions) -> list[str] | None:
    """The patient of each picture; None where nobody says."""
    expression = options.patients_from_name
    if index is not None and "patient" in index.columns:
        if expression is not None:
            raise DatasetError(
                f"{index.file} names the patients, and so does the expression {expression!r}; leave one of them out"
            )
        return [entry.row.patient for entry in entries if entry.row is not None]
    if expression is None:
        return None
    matches = [re.search(expression, entry.name.rpartition("/")[2]) for entry in entries]
    without = [entry.name for entry, match in zip(entries, matches, strict=True) if not match or not match.group(1)]
    if without:
        raise DatasetError(
            f"the expression {expression!r} finds no patient in the names of {len(without)} of {len(entries)} pictures of {path}: "
            f"{listed(without)}; correct it, or name patients in {INDEX}"
        )
    return [match.group(1) for match in matches if match]


def _subsets(path: Path, entries: list[Entry], patients: list[str] | None, labels: Indices) -> tuple[str, ...]:
    """The subset of each picture: of the index, of another picture of the same patient, or assigned."""
    names = patients if patients is not None else [entry.name for entry in entries]
    given: dict[str, str] = {}
    split = set()
    for name, entry in zip(names, entries, strict=True):
        own = entry.row.subset if entry.row is not None else ""
        if own and given.setdefault(name, own) != own:
            split.add(name)
    if split:
        raise DatasetError(
            f"{path / INDEX} puts pictures of {len(split)} patients into more than one subset: "
            f"{listed([f'patient {name!r}' for name in sorted(split)])}; move all pictures of a patient to one"
        )
    return stratify(names, labels, given)


def _read(path: Path, entries: list[Entry], side: int, options: LoadOptions) -> tuple[Floats, tuple[Source, ...]]:
    """All pictures, float32 (n, side, side), and where they came from."""
    images = np.empty((len(entries), side, side), np.float32)
    sources: list[Source] = []
    problems: list[str] = []

    def read(entry: Entry) -> tuple[Floats, Source] | str:
        try:
            return _square(path, entry, side)
        except (DatasetError, ImageError) as error:
            words = str(error).replace(str(path / entry.name), entry.name).replace(f"{path}{os.sep}", "")
            return words if entry.name in words else f"{entry.name}: {words}"

    threads = min(MOST_THREADS, max(2, os.cpu_count() or 2))
    executor = ThreadPoolExecutor(threads, thread_name_prefix="pictures")
    try:
        for place, found in enumerate(executor.map(read, entries)):
            if isinstance(found, str):
                problems.append(found)
            else:
                images[place] = found[0]
                sources.append(found[1])
            if options.progress is not None:
                options.progress(place + 1, len(entries))
    finally:
        executor.shutdown(cancel_futures=True)
    if problems:
        raise DatasetError(
            f"{len(problems)} of {len(entries)} pictures of {path} cannot be used: {listed(problems)}; mend or remove them"
        )
    return images, tuple(sources)


def _square(path: Path, entry: Entry, side: int) -> tuple[Floats, Source]:
    """The square of a picture, float32 (side, side), and where it came from."""
    row = entry.row
    image = load_image(path / entry.name, row.frame if row is not None else None)
    if row is not None and row.region is not None:
        region = row.region
    elif row is not None and row.mask:
        region = mask_region(load_image(path / row.mask), image, side)
    else:
        region = central_region(image)
    view, laterality = (row.view, row.laterality) if row is not None else ("", "")
    source = Source(entry.name, image.columns, image.rows, file_digest(path / entry.name), view, laterality)
    return crop(image, region, side), source
