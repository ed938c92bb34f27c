"""The data sets by name, and the one way to load them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from cryptml.datasets import breastmnist, mias, mnist, phantom
from cryptml.datasets.base import Dataset
from cryptml.datasets.folder import loading as folder
from cryptml.datasets.options import NO_OPTIONS, LoadOptions
from cryptml.errors import DatasetError
from cryptml.listening import Listener

_Where = TypeVar("_Where", str, Path)

MIN_SIDE, MAX_SIDE = 8, 1024
"""Bounds of a picture's side, in pixels."""


@dataclass(frozen=True)
class _Entry:
    """One data set: its name, how its specification is written, what it is, and what loads it."""

    name: str
    form: str
    description: str
    load: Callable[[str, int, LoadOptions], Dataset]


def _at_path(
    name: str, load: Callable[[Path, int, LoadOptions], Dataset]
) -> Callable[[str, int, LoadOptions], Dataset]:
    """Turn a loader of paths into one of text, with the checks that all paths share."""
    return lambda text, side, options: load(_existing(name, text), side, options)


def _existing(name: str, text: str) -> Path:
    if not text:
        raise DatasetError(f"the data set {name} needs a path; write {name}:PATH")
    try:
        path = Path(text).expanduser()
        found = path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long, an unknown home, a null byte
        raise DatasetError(f"{text!r} is not a usable path ({error}); write {name}:PATH") from error
    if not found:
        raise DatasetError(f"{path} does not exist; write {name}:PATH with the path of the data set {name}")
    return path


def _without_options(
    name: str, load: Callable[[_Where, int], Dataset]
) -> Callable[[_Where, int, LoadOptions], Dataset]:
    """Let a loader whose set knows its own patients refuse options that say otherwise."""

    def checked(where: _Where, side: int, options: LoadOptions) -> Dataset:
        if options.patients_from_name is not None:
            raise DatasetError(
                f"the data set {name} says itself whose its pictures are; leave the expression "
                f"{options.patients_from_name!r} for patients out"
            )
        return load(where, side)

    return checked


_ENTRIES = (
    _Entry(
        "phantom",
        phantom.FORM,
        "synthetic breast texture with and without a lesion, made here",
        _without_options("phantom", phantom.load),
    ),
    _Entry(
        "mias",
        "mias:PATH",
        "mini-MIAS folder: regions with an abnormality and of normal tissue; research use only",
        _at_path("mias", _without_options("mias", mias.load)),
    ),
    _Entry(
        "breastmnist",
        "breastmnist:PATH",
        "BreastMNIST .npz file: breast ultrasound, malignant or not",
        _at_path("breastmnist", _without_options("breastmnist", breastmnist.load)),
    ),
    _Entry(
        "mnist",
        "mnist:PATH",
        "MNIST's training digits in an .npz file, of which the last are held out: to compare with others",
        _at_path("mnist", _without_options("mnist", mnist.load)),
    ),
    _Entry(
        "folder",
        "folder:PATH",
        "your own pictures: one sub-folder a class, or an index.csv of labels, patients, subsets and regions",
        _at_path("folder", folder.load),
    ),
)


def describe_datasets() -> list[tuple[str, str, str]]:
    """The known data sets as (name, form of the specification, description)."""
    return [(entry.name, entry.form, entry.description) for entry in _ENTRIES]


def load_dataset(spec: str, side: int, options: LoadOptions = NO_OPTIONS) -> Dataset:
    """Load the data set that a specification names.

    Args:
        spec: ``NAME`` or ``NAME:REST`` in the form that ``describe_datasets`` gives.
        side: Side of each picture in pixels, 8 to 1024; larger pictures are reduced by area averaging.
        options: What the user says beside.

    Returns:
        A data set with pictures of at least two classes.

    Raises:
        DatasetError: If the name is unknown, the side out of bounds, the path missing, or the data or options unusable.
    """
    if isinstance(side, bool) or not isinstance(side, int) or not MIN_SIDE <= side <= MAX_SIDE:
        raise DatasetError(f"the side {side!r} is not a whole number of {MIN_SIDE} to {MAX_SIDE} pixels; choose one")
    entry, rest = _entry(spec)
    dataset = entry.load(rest, side, options)
    present = [dataset.classes[label] for label in np.unique(dataset.labels)]
    if len(present) < 2:
        raise DatasetError(f"{dataset.name} has pictures of {present[0]!r} only; add some of another class")
    return dataset


def require_dataset(spec: str) -> None:
    """Refuse a specification of which nothing can be loaded, without loading anything: before what takes long to begin.

    Raises:
        DatasetError: If the name is unknown, or the path missing.
    """
    entry, rest = _entry(spec)
    if entry.form == f"{entry.name}:PATH":
        _existing(entry.name, rest)


def _entry(spec: str) -> tuple[_Entry, str]:
    """Return what a specification names, and what is behind the name."""
    name, _, rest = spec.partition(":")
    found = next((entry for entry in _ENTRIES if entry.name == name), None)
    if found is None:
        meant = f"write folder:{spec} for that folder, or " if Path(spec).is_dir() else ""
        raise DatasetError(
            f"there is no data set {name!r}; {meant}choose one of {', '.join(each.form for each in _ENTRIES)}"
        )
    return found, rest


def load_data(spec: str, side: int, patients_from_name: str | None, listener: Listener) -> Dataset:
    """Load a data set, while a listener hears how many of its pictures have been read.

    Args:
        spec: As `load_dataset`.
        side: As `load_dataset`.
        patients_from_name: See `LoadOptions`.
        listener: Hears of progress.

    Raises:
        DatasetError: As `load_dataset`.
    """
    with listener.bar("reading pictures", 1) as bar:
        return load_dataset(spec, side, LoadOptions(patients_from_name, bar))
