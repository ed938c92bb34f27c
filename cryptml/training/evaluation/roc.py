"""What a threshold on a network's probability would give: the ROC curve and points on it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryptml.errors import SettingError
from cryptml.networks.boundary import FloatArray
from cryptml.networks.extent import IntArray
from cryptml.training.evaluation.auc import RocAuc

SPECIFICITIES = (0.8, 0.9, 0.95)
"""At which the sensitivity is told where nobody says otherwise."""

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class OperatingPoint:
    """One threshold.

    Attributes:
        wanted: Least specificity that was asked for, 0 to 1.
        specificity: Share of the pictures of other classes that stay below the threshold.
        sensitivity: Share of the pictures of the positive class that reach it, the highest that the specificity allows.
        threshold: Least probability that counts as positive; None where no picture is to count.
    """

    wanted: float
    specificity: float
    sensitivity: float
    threshold: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the point as JSON values."""
        return dataclasses.asdict(self)


def roc_curve(labels: IntArray, predicted: FloatArray, positive: int) -> tuple[Reals, Reals, Reals]:
    """Return the false positive rate, the true positive rate and the threshold of every point of a ROC curve, from (0, 0) to (1, 1).

    Args:
        labels: (n,) int64; the positive class and another one occur.
        predicted: Probabilities (n, classes) float32.
        positive: Index of the positive class.
    """
    from sklearn import metrics

    false_rate, true_rate, thresholds = metrics.roc_curve(
        labels == positive, predicted[:, positive], drop_intermediate=False
    )
    return np.asarray(false_rate), np.asarray(true_rate), np.asarray(thresholds, np.float64)


@dataclass(frozen=True, eq=False)
class RocLine:
    """One curve.

    Attributes:
        name: What it is of.
        auc: Area below it.
        false_rate: (points,) float64, from 0 to 1.
        true_rate: (points,) float64, from 0 to 1.
    """

    name: str
    auc: float
    false_rate: Reals
    true_rate: Reals

    @classmethod
    def of(cls, name: str, labels: IntArray, predicted: FloatArray, positive: int) -> RocLine:
        """Return the curve of predictions, with every point of it.

        Args:
            name: What it is of.
            labels: As `roc_curve`.
            predicted: As `roc_curve`.
            positive: As `roc_curve`.
        """
        false_rate, true_rate, _ = roc_curve(labels, predicted, positive)
        return cls(name, RocAuc(labels, predicted, name, positive).value(), false_rate, true_rate)


def operating_points(
    labels: IntArray, predicted: FloatArray, positive: int, wanted: Sequence[float] = SPECIFICITIES
) -> tuple[OperatingPoint, ...]:
    """Return, for each specificity, the point of the ROC curve with at least that specificity and the highest sensitivity.

    Thresholds are chosen on the very pictures that they are judged on, so they are a little too good for few pictures.

    Args:
        labels: As `roc_curve`.
        predicted: As `roc_curve`.
        positive: As `roc_curve`.
        wanted: Specificities, each in [0, 1].

    Raises:
        SettingError: If one is out of bounds.
    """
    for each in wanted:
        if not 0 <= each <= 1:
            raise SettingError(f"the specificity {each:g} is not from 0 to 1; choose one that is, such as 0.9")
    false_rate, true_rate, thresholds = roc_curve(labels, predicted, positive)
    points = []
    for each in wanted:
        # Counted in whole pictures, 1 - 1/5 is 0.8.
        allowed = np.flatnonzero(1 - false_rate >= each - 1e-9)
        best = int(allowed[np.argmax(true_rate[allowed])])
        threshold = float(thresholds[best])
        points.append(
            OperatingPoint(
                each,
                float(1 - false_rate[best]),
                float(true_rate[best]),
                threshold if math.isfinite(threshold) else None,
            )
        )
    return tuple(points)
