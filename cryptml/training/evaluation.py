"""How good a network is: its integer program on a data set, by picture and by patient."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryptml.datasets.base import Dataset
from cryptml.errors import DatasetError
from cryptml.networks.boundary import FloatArray
from cryptml.networks.extent import IntArray
from cryptml.networks.network import Network, probabilities
from cryptml.training.auc import RocAuc, bootstrap_interval

BATCH = 256
"""Pictures evaluated at a time, which bounds the memory."""


@dataclass(frozen=True)
class Measures:
    """Figures at one level, of pictures or of patients.

    Attributes:
        auc: Area under the ROC curve, 0 to 1; `cryptml.training.auc.RocAuc` says of which class.
        auc_low: Lower bound of its 95 % bootstrap interval by patient.
        auc_high: Upper bound of that interval.
        accuracy: Share of right answers, 0 to 1.
        confusion: Counts; row: the true class, column: the predicted one.
    """

    auc: float
    auc_low: float
    auc_high: float
    accuracy: float
    confusion: tuple[tuple[int, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {**dataclasses.asdict(self), "confusion": [list(row) for row in self.confusion]}


@dataclass(frozen=True)
class Evaluation:
    """What predictions on one data set are worth.

    Attributes:
        dataset: Its name.
        classes: What each row and column of the confusion matrix means.
        images: Number of pictures.
        patients: Number of patients.
        image_level: Every picture by itself; the predicted class is the most probable one.
        patient_level: A patient's score is the highest positive probability (any class but 0) of its pictures, positive
            above one half; a patient is positive if any picture is. None where the patients are all positive or all
            negative, which leaves no AUC to speak of.
    """

    dataset: str
    classes: tuple[str, ...]
    images: int
    patients: int
    image_level: Measures
    patient_level: Measures | None

    @property
    def auc(self) -> float:
        """Area under the ROC curve by picture."""
        return self.image_level.auc

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as JSON values, the figures by picture at the top level."""
        return {
            "dataset": self.dataset,
            "classes": list(self.classes),
            "images": self.images,
            "patients": self.patients,
            **self.image_level.to_json(),
            "patient_level": None if self.patient_level is None else self.patient_level.to_json(),
        }


def evaluate(network: Network, dataset: Dataset, seed: int = 0) -> Evaluation:
    """Evaluate the integer program, which is what client and server run together.

    Args:
        network: Any number of classes.
        dataset: Pictures of the network's side; every class must occur.
        seed: Of the bootstrap.

    Raises:
        DatasetError: If the classes of network and data set differ in number, or one does not occur.
        NetworkError: If the pictures have another side than the network takes.
    """
    return evaluate_probabilities(predict_integers(network, dataset), dataset, seed)


def predict_integers(network: Network, dataset: Dataset) -> FloatArray:
    """Return the probabilities (n, classes) float32 that the integer program gives a data set.

    Raises:
        DatasetError: If the classes of network and data set differ in number.
        NetworkError: If the pictures have another side than the network takes.
    """
    if len(network.classes) != len(dataset.classes):
        raise DatasetError(
            f"{dataset.name} has {len(dataset.classes)} classes where network {network.name!r} tells "
            f"{len(network.classes)} apart; choose a data set with the classes {', '.join(network.classes)}"
        )
    batches = range(0, len(dataset), BATCH)
    return probabilities(np.concatenate([network.logits(dataset.images[start : start + BATCH]) for start in batches]))


def evaluate_probabilities(predicted: FloatArray, dataset: Dataset, seed: int = 0) -> Evaluation:
    """Evaluate predictions, whoever made them.

    Args:
        predicted: (n, classes) float32, rows that sum to 1, in the order of the data set.
        dataset: Of n pictures; every class must occur.
        seed: Of the bootstrap.

    Raises:
        DatasetError: If a class does not occur, or the shape does not fit.
    """
    if predicted.shape != (len(dataset), len(dataset.classes)):
        raise DatasetError(
            f"predictions of shape {predicted.shape} do not fit {dataset.name}; "
            f"give {(len(dataset), len(dataset.classes))}, a row a picture and a column a class"
        )
    by_image = _measure(dataset.labels, predicted, dataset.patients, dataset.name, seed)
    names, labels, scores = _by_patient(predicted, dataset)
    by_patient = None
    if 0 < labels.sum() < len(labels):
        pairs = np.stack([1 - scores, scores], axis=1)
        by_patient = _measure(labels, pairs, names, dataset.name, seed)
    return Evaluation(dataset.name, dataset.classes, len(dataset), len(names), by_image, by_patient)


def _by_patient(predicted: FloatArray, dataset: Dataset) -> tuple[tuple[str, ...], IntArray, FloatArray]:
    """Return the patients' names, labels (0 or 1) and scores, in one order."""
    names, patient_of = np.unique(np.asarray(dataset.patients), return_inverse=True)
    positive = predicted[:, 1] if predicted.shape[1] == 2 else 1 - predicted[:, 0]
    labels, scores = np.zeros(len(names), np.int64), np.zeros(len(names), np.float32)
    np.maximum.at(labels, patient_of, (dataset.labels != 0).astype(np.int64))
    np.maximum.at(scores, patient_of, positive)
    return tuple(str(name) for name in names), labels, scores


def _measure(labels: IntArray, predicted: FloatArray, patients: tuple[str, ...], name: str, seed: int) -> Measures:
    auc = RocAuc(labels, predicted, name)
    low, high = bootstrap_interval(auc, patients, seed)
    classes = predicted.shape[1]
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, predicted.argmax(axis=1)), 1)
    rows = tuple(tuple(int(count) for count in row) for row in confusion)
    return Measures(auc.value(), low, high, float(np.trace(confusion) / len(labels)), rows)
