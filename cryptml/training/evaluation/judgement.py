"""All figures of one predictor on one set of pictures: network and baseline are judged alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptml.datasets.base import Dataset
from cryptml.networks.boundary import FloatArray
from cryptml.training.evaluation.calibration import Calibration, calibrate
from cryptml.training.evaluation.measures import Evaluation, evaluate_probabilities
from cryptml.training.evaluation.roc import SPECIFICITIES, OperatingPoint, operating_points


@dataclass(frozen=True)
class Judgement:
    """What predictions are worth.

    Attributes:
        evaluation: AUC, accuracy, confusion.
        points: Sensitivities at given specificities; empty where there is no positive class.
        calibration: Of the probabilities.
    """

    evaluation: Evaluation
    points: tuple[OperatingPoint, ...]
    calibration: Calibration

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values, those of the evaluation at the top level."""
        return {
            **self.evaluation.to_json(),
            "sensitivity": [point.to_json() for point in self.points],
            "calibration": self.calibration.to_json(),
        }


def judge(
    predicted: FloatArray, dataset: Dataset, specificities: Sequence[float] = SPECIFICITIES, seed: int = 0
) -> Judgement:
    """Judge predictions, whoever made them.

    Args:
        predicted: Probabilities (n, classes) float32, in the order of the data set.
        dataset: Of n pictures; every class must occur.
        specificities: Where the sensitivity is told, each in [0, 1].
        seed: Of the bootstrap.

    Raises:
        DatasetError: If a class does not occur, or the shape does not fit.
        SettingError: If a specificity is out of bounds.
    """
    evaluation = evaluate_probabilities(predicted, dataset, seed)
    label = dataset.positive_label
    points = operating_points(dataset.labels, predicted, label, specificities) if label is not None else ()
    return Judgement(evaluation, points, calibrate(dataset.labels, predicted, dataset.classes, label))
