"""What a data set consists of: for a person, a model card and a program."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from cryptml.datasets.base import Dataset
from cryptml.datasets.duplicates import describe_duplicates, find_duplicates
from cryptml.datasets.subsets import SUBSETS
from cryptml.errors import counted

CLOSE = 0.8
"""How alike the names of two classes are from which on one may be a slip (`difflib`)."""

FEW, FEW_SHARE = 2, 0.05
"""Pictures of a class, and their share of all, up to which its name may be a slip."""

MOST_SIZES = 10
"""Sizes of originals that are told apart, the most frequent ones."""

SOURCES = {
    "mias": "J. Suckling et al., The Mammographic Image Analysis Society digital mammogram database, Excerpta Medica "
    "International Congress Series 1069, 375-378, 1994. Research use only, under the licence that comes with the set.",
    "breastmnist": "J. Yang et al., MedMNIST v2, Scientific Data 10, 41, 2023, from W. Al-Dhabyani et al., Dataset of "
    "breast ultrasound images, Data in Brief 28, 2020. CC BY 4.0.",
    "mnist": "Y. LeCun et al., Gradient-based learning applied to document recognition, Proceedings of the IEEE 86(11), 2278-2324, 1998.",
    "phantom": "Synthetic texture made by CRYPTML; it shows no person and is free of restrictions.",
}
"""Citation and licence of the known data sets, by name."""


@dataclass(frozen=True)
class DataDescription:
    """What a data set consists of.

    Attributes:
        name: Of the data set.
        side: Of its pictures, in pixels.
        patients: How many; None where they are not known.
        counts: For each subset that occurs, the number of pictures of each class.
        patient_counts: The same of patients with a picture of the class; None where they are not known.
        classes: Their names, in the order of ``counts``.
        positive: The class that probabilities are said of; None where there is none.
        augmentation: What training does to pictures where its user does not say.
        sizes: Numbers of originals by (columns, rows), the most frequent first, at most `MOST_SIZES`; empty where originals are not known.
        other_sizes: How many originals have still other sizes.
        shorter: Shortest and longest of the shorter sides of all originals, in pixels; None where originals are not known.
        views: For each view and laterality that is known, the number of pictures of each class.
        duplicates: The same pictures, in words, a group each.
        doubtful: Classes of few pictures with nearly the name of another, in words: slips, as likely as not.
        source: Citation and licence.
    """

    name: str
    side: int
    patients: int | None
    counts: Mapping[str, tuple[int, ...]]
    patient_counts: Mapping[str, tuple[int, ...]] | None
    classes: tuple[str, ...]
    positive: str | None
    augmentation: str
    sizes: Mapping[tuple[int, int], int]
    other_sizes: int
    shorter: tuple[int, int] | None
    views: Mapping[str, tuple[int, ...]]
    duplicates: tuple[str, ...]
    doubtful: tuple[str, ...]
    source: str

    @property
    def pictures(self) -> int:
        """Number of pictures."""
        return sum(map(sum, self.counts.values()))

    @property
    def unit(self) -> str:
        """What intervals and folds count: ``patient`` or ``picture``."""
        return "picture" if self.patients is None else "patient"

    @property
    def size_words(self) -> str:
        """How many pictures there are, and of how many patients, where that is known."""
        of = "patients not known" if self.patients is None else f"of {counted(self.patients, 'patient')}"
        return f"{counted(self.pictures, 'picture')}{',' if self.patients is None else ''} {of}"

    @staticmethod
    def of(dataset: Dataset) -> DataDescription:
        """Describe a data set; an unknown one asks for its source to be written down."""
        labels = range(len(dataset.classes))
        found = Counter(zip(dataset.subsets, dataset.labels.tolist(), strict=True))
        present = [subset for subset in SUBSETS if subset in dataset.subsets]
        patients = Counter(
            (subset, label)
            for subset, label, _ in set(zip(dataset.subsets, dataset.labels.tolist(), dataset.patients, strict=True))
        )
        sizes = Counter((each.columns, each.rows) for each in dataset.sources)
        frequent = dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:MOST_SIZES])
        views = Counter(
            (" ".join(filter(None, (each.laterality, each.view))), label)
            for each, label in zip(dataset.sources, dataset.labels.tolist(), strict=False)
            if each.view or each.laterality
        )
        return DataDescription(
            name=dataset.name,
            side=dataset.side,
            patients=len(set(dataset.patients)) if dataset.patients_known else None,
            counts={subset: tuple(found[subset, label] for label in labels) for subset in present},
            patient_counts={subset: tuple(patients[subset, label] for label in labels) for subset in present}
            if dataset.patients_known
            else None,
            classes=dataset.classes,
            positive=dataset.positive_class,
            augmentation=dataset.augmentation,
            sizes=frequent,
            other_sizes=sizes.total() - sum(frequent.values()),
            shorter=(min(map(min, sizes)), max(map(min, sizes))) if sizes else None,
            views={view: tuple(views[view, label] for label in labels) for view in sorted({view for view, _ in views})},
            duplicates=tuple(describe_duplicates(dataset, group) for group in find_duplicates(dataset)),
            doubtful=tuple(_doubtful(Counter(dataset.classes[label] for label in dataset.labels.tolist()))),
            source=SOURCES.get(dataset.name, "Provided by the user, who knows its source and licence."),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the description as JSON values."""
        document = dataclasses.asdict(self)
        document["sizes"] = [
            {"columns": columns, "rows": rows, "pictures": count} for (columns, rows), count in self.sizes.items()
        ]
        return {"pictures": self.pictures, **document}


def _doubtful(pictures: Counter[str]) -> Iterator[str]:
    """Say which classes may be slips of another's name, by how many pictures each has."""
    few = max(FEW, FEW_SHARE * pictures.total())
    for name, count in pictures.items():
        others = {each.casefold(): each for each, more in pictures.items() if more > count}
        meant = get_close_matches(name.casefold(), others, 1, CLOSE)
        if count <= few and meant:
            other = others[meant[0]]
            yield (
                f"the class {name!r} has {counted(count, 'picture')} and {other!r} has {pictures[other]}: correct the labels if one is "
                "a slip of the other"
            )
