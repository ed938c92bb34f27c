"""What every data set is: pictures, labels, patients and subsets, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cryptml.datasets.subsets import SUBSETS, units
from cryptml.errors import DatasetError
from cryptml.files import sha256
from cryptml.networks.classes import positive_class

AUGMENTATIONS = ("symmetries", "mirror", "shift", "none")
"""What training may do to a picture: turn, mirror and move it; mirror and move it; move it; nothing."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Source:
    """Where a picture came from.

    Attributes:
        file: Path below the data set's folder, with ``/`` between its parts.
        columns: Of the original, in pixels.
        rows: Of the original, in pixels.
        digest: SHA-256 (hexadecimal) of the file.
        view: Such as ``CC`` or ``MLO``; empty where it is not known.
        laterality: ``L``, ``R``, or empty where it is not known.
    """

    file: str
    columns: int
    rows: int
    digest: str
    view: str = ""
    laterality: str = ""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled pictures, each of one patient and in one subset; read-only.

    Attributes:
        name: What it is called in reports.
        images: float32 (n, side, side), values in [0, 1].
        labels: int64 (n,), indices into ``classes``.
        patients: The patient of each picture, length n; no patient is in two subsets. Where patients are not known, a name
            for each picture.
        classes: What each label means, at least two.
        subsets: ``"train"``, ``"validation"`` or ``"test"`` for each picture, length n.
        positive: The class that was chosen to be the positive one, if any: see `positive_class`.
        patients_known: Whether ``patients`` are patients; otherwise nothing may be said of patients.
        augmentation: One of `AUGMENTATIONS`, what training does where its user does not say: pictures with an up and a
            down, as in ultrasound, are mirrored and not turned.
        sources: The source of each picture, length n, or empty where the set is not made of files of its user.

    Raises:
        DatasetError: If any of this does not hold, naming the value or the patient.
    """

    name: str
    images: npt.NDArray[np.float32]
    labels: Indices
    patients: tuple[str, ...]
    classes: tuple[str, ...]
    subsets: tuple[str, ...]
    positive: str | None = None
    patients_known: bool = True
    augmentation: str = "symmetries"
    sources: tuple[Source, ...] = ()

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
    def unit(self) -> str:
        """What is never in two subsets, and what intervals and folds count: ``patient``, or ``picture`` where patients are not known."""
        return "patient" if self.patients_known else "picture"

    @property
    def positive_class(self) -> str | None:
        """The class that a probability is said of; of two classes the second, where none was chosen; of more none."""
        return positive_class(self.classes, self.positive, self.name, DatasetError)

    @property
    def positive_label(self) -> int | None:
        """Index of the positive class; None where there is none."""
        return None if self.positive_class is None else self.classes.index(self.positive_class)

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of pictures and labels, to tell whether something was made from the same."""
        return sha256(self.images.tobytes() + self.labels.tobytes())

    @property
    def division(self) -> str:
        """SHA-256 (hexadecimal) of which picture is in which subset, whatever their order."""
        pairs = sorted(f"{sha256(image.tobytes())} {own}" for image, own in zip(self.images, self.subsets, strict=True))
        return sha256("\n".join(pairs).encode())

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
        return replace(
            self,
            images=self.images[chosen],
            labels=self.labels[chosen],
            patients=tuple(self.patients[i] for i in chosen),
            subsets=tuple(self.subsets[i] for i in chosen),
            sources=tuple(self.sources[i] for i in chosen) if self.sources else (),
        )

    def with_positive(self, name: str) -> Dataset:
        """The same set with another positive class; subsets and folds stay as they are.

        Raises:
            DatasetError: If there is no such class.
        """
        return replace(self, positive=name)

    def in_order(self, classes: tuple[str, ...]) -> Dataset:
        """The same set with its classes in another order, and the labels accordingly.

        Args:
            classes: Those of the set.
        """
        place = {name: number for number, name in enumerate(classes)}
        labels = np.array([place[name] for name in self.classes], np.int64)[self.labels]
        return replace(self, classes=classes, labels=labels, positive=self.positive_class)

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
        """Cut the set into k parts, each patient's pictures together where patients are known, for cross-validation.

        Patients of each class (`cryptml.datasets.subsets.units`) are shuffled apart and dealt to the parts in turn, so every part has its
        share of each, within one patient. The same set and seed give the same parts, whatever the order of the pictures.

        Args:
            k: Number of parts, 2 to the number of patients.
            seed: Of the shuffle.

        Returns:
            k pairs of positions (train, test), each int64 and ascending. Every picture is in exactly one test part, and
            no patient is on both sides of a pair.

        Raises:
            DatasetError: If k is out of bounds.
        """
        of_class = units(self.patients, self.labels, self.positive_label)
        if not 2 <= k <= len(of_class):
            raise DatasetError(
                f"{k} folds were asked of the {len(of_class)} {self.unit}s of {self.name}; choose 2 to {len(of_class)}"
            )
        names, classes = np.array(list(of_class)), np.array(list(of_class.values()))
        random = np.random.default_rng(seed)
        order = [name for label in np.unique(classes)[::-1] for name in random.permutation(names[classes == label])]
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
        positive_class(self.classes, self.positive, self.name, DatasetError)
        if self.augmentation not in AUGMENTATIONS:
            raise DatasetError(
                f"{self.name} has the augmentation {self.augmentation!r}; choose one of {', '.join(AUGMENTATIONS)}"
            )
        found = [("patients", self.patients), ("subsets", self.subsets)]
        for what, names in [*found, *([("sources", self.sources)] if self.sources else [])]:
            if len(names) != len(self.labels):
                raise DatasetError(
                    f"{self.name} has {len(names)} {what} for {len(self.labels)} pictures; give one for each"
                )
        subset_of: dict[str, str] = {}
        for patient, subset in zip(self.patients, self.subsets, strict=True):
            if subset not in SUBSETS:
                raise DatasetError(
                    f"a picture of {self.unit} {patient!r} of {self.name} is in the subset {subset!r}; "
                    f"choose one of {', '.join(SUBSETS)}"
                )
            if subset_of.setdefault(patient, subset) != subset:
                raise DatasetError(
                    f"{self.unit} {patient!r} of {self.name} is in the subsets {subset_of[patient]} and {subset}; "
                    "move all their pictures to one"
                )
