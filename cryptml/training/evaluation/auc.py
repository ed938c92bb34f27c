"""Area under the ROC curve, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cryptml.errors import DatasetError
from cryptml.networks.boundary import FloatArray
from cryptml.networks.extent import IntArray

LEAST_UNITS = 10
"""Patients, or pictures where patients are not known, of each class that an interval needs: a bootstrap of fewer hardly varies, and is too
narrow by far."""

RESAMPLES = 1000
"""Resamples of a bootstrap interval."""

COVERAGE = 0.95
"""Share of resamples that lie inside the interval."""

Reals = NDArray[np.float64]


class RocAuc:
    """The area under the ROC curve of fixed predictions, for any weights of the examples.

    The area is the probability that a positive example scores higher than a negative one, ties counting one half (Hanley
    and McNeil, "The meaning and use of the area under a receiver operating characteristic curve", Radiology 143, 1982).
    It is that of the positive class against the others; where there is none, the areas of each class against the others are averaged.

    Args:
        labels: (n,) int64, each below the number of classes; every class must occur.
        probabilities: (n, classes) float32, finite.
        name: Of the data set, for messages.
        positive: Index of the positive class; of two classes 1 if None.

    Raises:
        DatasetError: If a class is missing, for the area is then not defined.
    """

    def __init__(self, labels: IntArray, probabilities: FloatArray, name: str, positive: int | None = None) -> None:
        classes = probabilities.shape[1]
        present = np.unique(labels)
        if len(present) < classes:
            raise DatasetError(
                f"{name} has examples of {len(present)} of {classes} classes where an AUC needs every class; "
                "add examples of the others or choose another subset"
            )
        if positive is None and classes == 2:
            positive = 1
        self._curves = [
            (np.unique(probabilities[:, label], return_inverse=True)[1], labels == label)
            for label in (range(classes) if positive is None else [positive])
        ]
        self.examples = len(labels)

    def value(self, weights: Reals | None = None) -> float:
        """Return the area in [0, 1], or NaN where the weights leave a class out.

        Args:
            weights: (n,), 0 or more, how often each example counts; once each if None.
        """
        weights = np.ones(self.examples) if weights is None else weights
        return float(np.mean([_area(ranks, positive, weights) for ranks, positive in self._curves]))


def _area(ranks: IntArray, positive: NDArray[np.bool_], weights: Reals) -> float:
    """Return the area for scores given by their rank, equal scores sharing one."""
    ahead = np.bincount(ranks, weights * positive)
    behind = np.bincount(ranks, weights * ~positive)
    pairs = ahead.sum() * behind.sum()
    if pairs == 0:
        return float("nan")
    return float(ahead @ (np.cumsum(behind) - behind / 2) / pairs)


def refuse_interval(labels: IntArray, units: Sequence[str], classes: Sequence[str], unit: str) -> str | None:
    """Return why an AUC has no interval worth printing; None where it has.

    Args:
        labels: (n,) int64.
        units: What is drawn in a bootstrap: the patient of each example, or a name for each.
        classes: Names of the labels.
        unit: ``patient`` or ``picture``.
    """
    counts = [len({units[place] for place in np.flatnonzero(labels == label)}) for label in range(len(classes))]
    few = [
        f"{count} {unit}{'' if count == 1 else 's'} of {name}"
        for name, count in zip(classes, counts, strict=True)
        if count < LEAST_UNITS
    ]
    return f"{' and '.join(few)}, fewer than {LEAST_UNITS}" if few else None


def bootstrap_interval(auc: RocAuc, patients: Sequence[str], seed: int = 0) -> tuple[float, float]:
    """Return a 95 % interval of an AUC, the percentile interval of a bootstrap per patient.

    Pictures of one patient are alike, so patients are drawn with replacement, each with all of its pictures (Efron and
    Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13). Resamples without one of the classes are
    left out.

    Args:
        auc: Of the predictions.
        patients: The patient of each example, length n.
        seed: Of the draws.

    Returns:
        The lower and upper bound, both in [0, 1].

    Raises:
        DatasetError: If no resample holds every class, because there are too few patients.
    """
    names, patient_of = np.unique(np.asarray(patients), return_inverse=True)
    random = np.random.default_rng(seed)
    areas = np.empty(RESAMPLES)
    for resample in range(RESAMPLES):
        times = np.bincount(random.integers(len(names), size=len(names)), minlength=len(names))
        areas[resample] = auc.value(times[patient_of].astype(np.float64))
    areas = areas[np.isfinite(areas)]
    if areas.size == 0:
        raise DatasetError(
            f"none of {RESAMPLES} resamples of {len(names)} patients holds every class, "
            "so the AUC has no interval; add patients of each class"
        )
    low, high = np.quantile(areas, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high)
