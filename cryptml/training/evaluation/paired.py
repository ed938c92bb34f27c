"""How much better or worse one way is than another on the same pictures: the difference of two AUCs, drawn together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryptml.datasets.base import Dataset
from cryptml.networks.boundary import FloatArray
from cryptml.training.evaluation.auc import COVERAGE, RESAMPLES, RocAuc, refuse_interval


@dataclass(frozen=True)
class PairedDifference:
    """The AUC of a network less that of something else, both cross-validated on the same folds.

    Attributes:
        against: What it is compared with.
        auc: Of that, the mean over seeds, 0 to 1.
        difference: The network's mean less ``auc``, -1 to 1.
        low: Lower bound of its 95 % bootstrap interval per patient, or per picture where patients are not known; None where there
            are too few.
        high: Upper bound.
    """

    against: str
    auc: float
    difference: float
    low: float | None
    high: float | None

    @property
    def interval(self) -> str:
        """The interval in words."""
        return "none" if self.low is None or self.high is None else f"{self.low:+.3f} to {self.high:+.3f}"

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return dataclasses.asdict(self)


def paired_difference(
    against: str, ours: Sequence[FloatArray], theirs: Sequence[FloatArray], dataset: Dataset, seed: int = 0
) -> PairedDifference:
    """Compare two sets of predictions, each made once a seed.

    Every resample draws patients with replacement, the same for both and for all seeds, and takes the difference of the mean AUCs
    (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 8): what both find hard does not widen the
    interval.

    Args:
        against: What ``theirs`` are of.
        ours: For each seed (n, classes) float32.
        theirs: As many.
        dataset: Of n pictures; every class occurs.
        seed: Of the draws.

    Raises:
        DatasetError: If a class does not occur.
    """
    label = dataset.positive_label
    pairs = [
        tuple(RocAuc(dataset.labels, each, dataset.name, label) for each in both)
        for both in zip(ours, theirs, strict=True)
    ]
    other = float(np.mean([their.value() for _, their in pairs]))
    difference = float(np.mean([our.value() - their.value() for our, their in pairs]))
    if refuse_interval(dataset.labels, dataset.patients, dataset.classes, dataset.unit):
        return PairedDifference(against, other, difference, None, None)
    names, patient_of = np.unique(np.asarray(dataset.patients), return_inverse=True)
    random, found = np.random.default_rng(seed), np.empty(RESAMPLES)
    for resample in range(RESAMPLES):
        times = np.bincount(random.integers(len(names), size=len(names)), minlength=len(names))
        weights = times[patient_of].astype(np.float64)
        found[resample] = np.mean([our.value(weights) - their.value(weights) for our, their in pairs])
    low, high = np.nanquantile(found, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return PairedDifference(against, other, difference, float(low), float(high))
