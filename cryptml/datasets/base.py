"""What every data set is: pictures, labels, patients and subsets, checked once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryptml.errors import DatasetError
from cryptml.files import sha256

SUBSETS = ("train", "validation", "test")
"""The names that a picture's subset can have, in their usual order."""

_SALT = "cryptml subset 1:"
_SUBSET_ENDS = ((0.70, "train"), (0.85, "validation"), (1.00, "test"))

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled pictures, each of one patient and in one subset; read-only.

    Attributes:
        name: What it is called in reports.
        images: float32 (n, side, side), values in [0, 1].
        labels: int64 (n,), indices into ``classes``.
        patients: The patient of each picture, length n; no patient is in two subsets.
        classes: What each label means, at least two. Of two classes, index 1 is the positive one: abnormal,
            malignant, lesion.
        subsets: ``"train"``, ``"validation"`` or ``"test"`` for each picture, length n.
        upright: Whether up and down differ, as in ultrasound, where down is deeper: training then mirrors pictures, and
            does not turn them.

    Raises:
        DatasetError: If any of this does not hold, naming the value or the patient.
    """

    name: str
    images: npt.NDArray[np.float32]
    labels: Indices
    patients: tuple[str, ...]
    classes: tuple[str, ...]
    subsets: tuple[str, ...]
    upright: bool = False

    def __post_init__(self) -> None:
        self._check_arrays()
        self._check_names()
        self.images.flags.writeable = False
        self.labels.flags.writeable = False

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def side(self) -> int:
        """Side of each picture, in pixels."""
        return int(self.images.shape[1])

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of pictures and labels, to tell whether something was made from the same."""
        return sha256(self.images.tobytes() + self.labels.tobytes())

    def take(self, indices: Sequence[int] | Indices) -> Dataset:
        """The pictures at some positions, in that order.

        Args:
            indices: Whole numbers from 0 to n - 1, at least one; a position may come twice.

        Raises:
            DatasetError: If there is none, or one is out of bounds.
        """
        chosen = np.asarray(indices)
        if chosen.ndim != 1 or chosen.size == 0 or chosen.dtype.kind not in "iu":
            raise DatasetError(
                f"an array of shape {chosen.shape} and dtype {chosen.dtype} cannot choose pictures of {self.name}; "
                "pass a list of at least one position"
            )
        if chosen.min() < 0 or chosen.max() >= len(self):
            raise DatasetError(
                f"positions {chosen.min()} to {chosen.max()} were asked of {self.name}; choose 0 to {len(self) - 1}"
            )
        return Dataset(
            self.name,
            self.images[chosen],
            self.labels[chosen],
            tuple(self.patients[i] for i in chosen),
            self.classes,
            tuple(self.subsets[i] for i in chosen),
            self.upright,
        )

    def subset(self, name: str) -> Dataset:
        """The pictures of one subset.

        Args:
            name: ``"train"``, ``"validation"``, ``"test"``, or ``"all"`` for the whole set.

        Raises:
            DatasetError: If the name is unknown or the subset empty.
        """
        if name == "all":
            return self
        if name not in SUBSETS:
            raise DatasetError(f"there is no subset {name!r}; choose one of {', '.join(SUBSETS)} or all")
        indices = np.flatnonzero(np.array(self.subsets) == name)
        if indices.size == 0:
            present = [known for known in SUBSETS if known in self.subsets]
            raise DatasetError(
                f"the subset {name!r} of {self.name} is empty; choose one of {', '.join(present)} or all"
            )
        return self.take(indices)

    def folds(self, k: int, seed: int = 0) -> list[tuple[Indices, Indices]]:
        """Cut the set into k parts by patient, for cross-validation.

        Patients with a positive picture (any label but 0) and those without are shuffled apart and dealt to the parts
        in turn, so every part has its share of both, within one patient. The same set and seed give the same parts,
        whatever the order of the pictures.

        Args:
            k: Number of parts, 2 to the number of patients.
            seed: Of the shuffle.

        Returns:
            k pairs of positions (train, test), each int64 and ascending. Every picture is in exactly one test part, and
            no patient is on both sides of a pair.

        Raises:
            DatasetError: If k is out of bounds.
        """
        positive: dict[str, bool] = dict.fromkeys(sorted(set(self.patients)), False)
        if not 2 <= k <= len(positive):
            raise DatasetError(
                f"{k} folds were asked of the {len(positive)} patients of {self.name}; choose 2 to {len(positive)}"
            )
        for patient, label in zip(self.patients, self.labels, strict=True):
            positive[patient] |= bool(label)
        names = np.array(list(positive))
        with_positive = np.array(list(positive.values()))
        random = np.random.default_rng(seed)
        order = [*random.permutation(names[with_positive]), *random.permutation(names[~with_positive])]
        fold_of = {patient: place % k for place, patient in enumerate(order)}
        folds = np.array([fold_of[patient] for patient in self.patients])
        return [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in range(k)]

    def _check_arrays(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != np.float32 or images.ndim != 3 or images.shape[1] != images.shape[2] or images.size == 0:
            raise DatasetError(
                f"the pictures of {self.name} are {images.dtype} {images.shape} where float32 (n, side, side) is "
                "needed; crop them to squares of one size"
            )
        if not np.isfinite(images).all() or images.min() < 0 or images.max() > 1:
            raise DatasetError(f"the pictures of {self.name} hold values that are not in [0, 1]; normalise them first")
        if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
            raise DatasetError(
                f"the labels of {self.name} are {labels.dtype} {labels.shape} where int64 ({len(images)},) is needed; "
                "give one label a picture"
            )
        if labels.min() < 0 or labels.max() >= len(self.classes):
            raise DatasetError(
                f"the labels of {self.name} span {labels.min()} to {labels.max()}, outside its {len(self.classes)} "
                "classes; name every class or correct the labels"
            )

    def _check_names(self) -> None:
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise DatasetError(f"{self.name} has the classes {self.classes}; name at least two, each once")
        for what, names in (("patients", self.patients), ("subsets", self.subsets)):
            if len(names) != len(self.labels):
                raise DatasetError(
                    f"{self.name} has {len(names)} {what} for {len(self.labels)} pictures; give one for each"
                )
        subset_of: dict[str, str] = {}
        for patient, subset in zip(self.patients, self.subsets, strict=True):
            if subset not in SUBSETS:
                raise DatasetError(
                    f"a picture of patient {patient!r} of {self.name} is in the subset {subset!r}; "
                    f"choose one of {', '.join(SUBSETS)}"
                )
            if subset_of.setdefault(patient, subset) != subset:
                raise DatasetError(
                    f"patient {patient!r} of {self.name} is in the subsets {subset_of[patient]} and {subset}; "
                    "move all their pictures to one"
                )


def assign_subsets(patients: Sequence[str]) -> tuple[str, ...]:
    """Put patients into subsets by a hash of their name: 70 % train, 15 % validation, 15 % test.

    The subset depends on the name alone, so it is the same in every data set and on every machine, and adding patients
    never moves another one.

    Args:
        patients: Of each picture; names may come more than once.

    Returns:
        One subset a picture, in the same order.
    """
    return tuple(_subset_of(patient) for patient in patients)


def _subset_of(patient: str) -> str:
    digest = hashlib.sha256((_SALT + patient).encode()).digest()
    share = int.from_bytes(digest[:6], "big") / 2**48
    return next(name for end, name in _SUBSET_ENDS if share < end)
