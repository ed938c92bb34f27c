"""Which patients a network learns from, is chosen by and is judged on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

SUBSETS = ("train", "validation", "test")
"""The names that a picture's subset can have, in their usual order."""

_SALT = "cryptml subset 1:"
_SUBSET_ENDS = ((0.70, "train"), (0.85, "validation"), (1.00, "test"))
_SHARE_HELD_BACK = 0.15
"""Of each class, for validation and for the test each."""


def assign_subsets(patients: Sequence[str]) -> tuple[str, ...]:
    """Put patients into subsets by a hash of their name: 70 % train, 15 % validation, 15 % test.

    The subset depends on the name alone, so it is the same in every data set and on every machine, and adding patients
    never moves another one. Small sets may get uneven shares of a class: `stratify` is for those.

    Args:
        patients: Of each picture; names may come more than once.

    Returns:
        One subset a picture, in the same order.
    """
    return tuple(_subset_of(patient) for patient in patients)


def units(patients: Sequence[str], labels: npt.NDArray[np.int64], first: int | None = None) -> dict[str, int]:
    """The class of every patient, which folds and subsets share out evenly.

    Of the classes of its pictures it is the one that the fewest pictures of the set have; of equally rare ones the last.

    Args:
        patients: Of each picture.
        labels: int64, of each picture.
        first: A class that counts wherever a patient has a picture of it.

    Returns:
        Class per patient, in the order of the names.
    """
    count = Counter(labels.tolist())
    rarity = {label: place for place, label in enumerate(sorted(count, key=lambda each: (-count[each], each)))}
    if first is not None:
        rarity[first] = len(rarity)
    found: dict[str, int] = {}
    for patient, label in zip(patients, labels.tolist(), strict=True):
        if patient not in found or rarity[label] > rarity[found[patient]]:
            found[patient] = label
    return {patient: found[patient] for patient in sorted(found)}


def stratify(patients: Sequence[str], labels: npt.NDArray[np.int64], given: Mapping[str, str]) -> tuple[str, ...]:
    """Put patients into subsets so that every subset has its share of every class.

    Patients of one class (`units`) are ordered by a hash of their name; the first 15 % become the test, the next 15 % the validation
    subset, at least one patient each where there are three, and the others are trained on. The same patients and labels give
    the same subsets on every machine; patients that come or go may move others. The positive class has no say, so that to choose
    another one never trains on a patient that was held back.

    Args:
        patients: Of each picture.
        labels: int64, of each picture.
        given: Subsets of patients that are not to be assigned.

    Returns:
        One subset a picture, in the same order.
    """
    subset_of = dict(given)
    classes = units(patients, labels)
    for label in sorted(set(classes.values())):
        free = [patient for patient, own in classes.items() if own == label and patient not in given]
        free.sort(key=lambda patient: (_share_of(patient), patient))
        held_back = max(1, round(_SHARE_HELD_BACK * len(free)))
        tested = held_back if len(free) > 2 else 0
        validated = tested + held_back if len(free) > 1 else 0
        for place, patient in enumerate(free):
            subset_of[patient] = "test" if place < tested else "validation" if place < validated else "train"
    return tuple(subset_of[patient] for patient in patients)


def _share_of(patient: str) -> float:
    """A number in [0, 1) that follows from a name."""
    digest = hashlib.sha256((_SALT + patient).encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _subset_of(patient: str) -> str:
    return next(name for end, name in _SUBSET_ENDS if _share_of(patient) < end)
