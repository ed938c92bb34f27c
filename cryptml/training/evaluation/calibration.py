"""Whether probabilities are what they are called: of pictures with a probability of 0.8, do eight of ten belong to the class?"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryptml.networks.boundary import FloatArray
from cryptml.networks.extent import IntArray

BINS = 10
"""Of equal width, over probabilities from 0 to 1."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Pictures whose probabilities are alike.

    Attributes:
        low: Least probability of the bin.
        high: Highest; that of the last bin belongs to it, of others to the next.
        pictures: How many.
        probability: Their mean probability; None where there is none.
        share: How many of them belong to the class, 0 to 1; None where there is none.
    """

    low: float
    high: float
    pictures: int
    probability: float | None
    share: float | None


@dataclass(frozen=True)
class Calibration:
    """How far probabilities are from shares.

    Attributes:
        of: The class whose probability it is; None where it is that of each picture's most probable class.
        brier: Mean squared difference of probability and truth (Brier, "Verification of forecasts expressed in terms of
            probability", Monthly
            Weather Review 78, 1950): 0 is best. With a positive class, of its probability alone, 0 to 1; else summed over
            the classes, 0 to 2.
        error: Expected calibration error (Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning",
            AAAI 2015): mean over the pictures of how far their bin's mean probability is from its share, 0 to 1.
        bins: The reliability table.
    """

    of: str | None
    brier: float
    error: float
    bins: tuple[ReliabilityBin, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {**dataclasses.asdict(self), "bins": [dataclasses.asdict(each) for each in self.bins]}


def calibrate(labels: IntArray, predicted: FloatArray, classes: tuple[str, ...], positive: int | None) -> Calibration:
    """Compare probabilities with what is true.

    Args:
        labels: (n,) int64, n at least 1.
        predicted: Probabilities (n, classes) float32.
        classes: Their names.
        positive: Index of the positive class; None judges the most probable class of each picture (Guo et al., "On calibration of modern
            neural networks", ICML 2017).
    """
    exact = predicted.astype(np.float64)
    if positive is None:
        probability, truth = exact.max(axis=1), (exact.argmax(axis=1) == labels).astype(np.float64)
        brier = np.square(exact - np.eye(len(classes))[labels]).sum(axis=1).mean()
    else:
        probability, truth = exact[:, positive], (labels == positive).astype(np.float64)
        brier = np.square(probability - truth).mean()
    place = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    means = np.bincount(place, probability, BINS) / np.maximum(counts, 1)
    shares = np.bincount(place, truth, BINS) / np.maximum(counts, 1)
    bins = tuple(
        ReliabilityBin(
            number / BINS,
            (number + 1) / BINS,
            int(counts[number]),
            float(means[number]) if counts[number] else None,
            float(shares[number]) if counts[number] else None,
        )
        for number in range(BINS)
    )
    error = float((counts * np.abs(means - shares)).sum() / len(labels))
    return Calibration(None if positive is None else classes[positive], float(brier), error, bins)
