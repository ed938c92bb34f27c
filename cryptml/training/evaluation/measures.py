"""How good a network is: its integer program on a data set, per picture and per patient."""

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
from cryptml.training.evaluation.auc import RocAuc, bootstrap_interval, refuse_interval

BATCH = 256
"""Pictures evaluated at a time, which bounds the memory."""


@dataclass(frozen=True)
class Measures:
    """Figures at one level, of pictures or of patients.

    Attributes:
        auc: Area under the ROC curve, 0 to 1; `cryptml.training.evaluation.auc.RocAuc` says of which class.
        auc_low: Lower bound of its 95 % bootstrap interval per patient, or per picture where patients are not known; None
            where it is refused.
        auc_high: Upper bound of that interval.
        accuracy: Share of right answers, 0 to 1.
        confusion: Counts; row: the true class, column: the predicted one.
        interval_refused: Why there is no interval (`cryptml.training.evaluation.auc.refuse_interval`); None where there is one.
    """

    auc: float
    auc_low: float | None
    auc_high: float | None
    accuracy: float
    confusion: tuple[tuple[int, ...], ...]
    interval_refused: str | None = None

    @property
    def interval(self) -> str:
        """The interval in words."""
        if self.auc_low is None or self.auc_high is None:
            return f"none: {self.interval_refused}"
        return f"{self.auc_low:.3f} to {self.auc_high:.3f}"

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {**dataclasses.asdict(self), "confusion": [list(row) for row in self.confusion]}


@dataclass(frozen=True)
class Evaluation:
    """What predictions on one data set are worth.

    Attributes:
        dataset: Its name.
        classes: What each row and column of the confusion matrix means.
        positive: The class whose AUC it is; None where the areas of each class against the others are averaged.
        images: Number of pictures.
        patients: Number of patients; None where they are not known.
        image_level: Every picture by itself; the predicted class is the most probable one.
        patient_level: A patient's score is the highest probability of the positive class of its pictures, positive above
            one half; a patient
            is positive if any picture is. None where that has no meaning, see ``patient_level_refused``.
        patient_level_refused: Why: patients are not known, there are more than two classes, or the patients are all
            positive or all negative,
            which leaves no AUC to speak of. None where there are figures.
    """

    dataset: str
    classes: tuple[str, ...]
    positive: str | None
    images: int
    patients: int | None
    image_level: Measures
    patient_level: Measures | None
    patient_level_refused: str | None

    @property
    def auc(self) -> float:
        """Area under the ROC curve by picture."""
        return self.image_level.auc

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as JSON values, the figures by picture at the top level."""
        return {
            "dataset": self.dataset,
            "classes": list(self.classes),
            "positive": self.positive,
            "images": self.images,
            "patients": self.patients,
            **self.image_level.to_json(),
            "patient_level": None if self.patient_level is None else self.patient_level.to_json(),
            "patient_level_refused": self.patient_level_refused,
        }


def evaluate(network: Network, dataset: Dataset, seed: int = 0) -> Evaluation:
    """Evaluate the integer program, which is what client and server run together.

    Args:
        network: Any number of classes.
        dataset: Pictures of the network's side; every class must occur. The network says which class is the positive one.
        seed: Of the bootstrap.

    Raises:
        DatasetError: If the classes of network and data set have other names, or one does not occur.
        NetworkError: If the pictures have another side than the network takes.
    """
    predicted = predict_integers(network, dataset)
    return evaluate_probabilities(predicted, as_network_says(network, dataset), seed)


def as_network_says(network: Network, dataset: Dataset) -> Dataset:
    """Return a data set with the network's classes in its order, and its positive class.

    Raises:
        DatasetError: If the classes have other names: which of them is which is not guessed.
    """
    if set(network.classes) != set(dataset.classes):
        raise DatasetError(
            f"{dataset.name} has the classes {', '.join(dataset.classes)}, and network {network.name!r} {', '.join(network.classes)}; "
            "a network is judged on pictures of its own classes: choose such a set, or, if yours are the same by other names, call "
            "them as the network does (folders, or the column label of an index)"
        )
    found = dataset.in_order(network.classes)
    return found if network.positive_class is None else found.with_positive(network.positive_class)


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
    label = dataset.positive_label
    by_image = _measure(dataset.labels, predicted, dataset, dataset.patients, label, seed)
    by_patient, refused = None, _refuse_patient_level(dataset)
    if refused is None and label is not None:
        names, labels, scores = _by_patient(predicted, dataset, label)
        pairs = np.stack([1 - scores, scores] if label else [scores, 1 - scores], axis=1)
        by_patient = _measure(labels, pairs, dataset, names, label, seed)
    patients = len(set(dataset.patients)) if dataset.patients_known else None
    return Evaluation(
        dataset.name, dataset.classes, dataset.positive_class, len(dataset), patients, by_image, by_patient, refused
    )


def _refuse_patient_level(dataset: Dataset) -> str | None:
    """Say why there are no figures per patient; None where there are."""
    if not dataset.patients_known:
        return "patients are not known"
    if len(dataset.classes) != 2:
        return f"a patient has no one class of {len(dataset.classes)}"
    patients = np.asarray(dataset.patients)
    positive = set(patients[dataset.labels == dataset.positive_label])
    if not positive or len(positive) == len(set(patients)):
        return f"{'all' if positive else 'no'} patients have a picture of {dataset.positive_class}"
    return None


def _by_patient(predicted: FloatArray, dataset: Dataset, positive: int) -> tuple[tuple[str, ...], IntArray, FloatArray]:
    """Return the patients' names, labels (of two classes) and scores, in one order."""
    names, patient_of = np.unique(np.asarray(dataset.patients), return_inverse=True)
    found, scores = np.zeros(len(names), np.bool_), np.zeros(len(names), np.float32)
    np.logical_or.at(found, patient_of, dataset.labels == positive)
    np.maximum.at(scores, patient_of, predicted[:, positive])
    labels = np.where(found, positive, 1 - positive).astype(np.int64)
    return tuple(str(name) for name in names), labels, scores


def _measure(
    labels: IntArray,
    predicted: FloatArray,
    dataset: Dataset,
    units: tuple[str, ...],
    positive: int | None,
    seed: int,
) -> Measures:
    auc = RocAuc(labels, predicted, dataset.name, positive)
    refused = refuse_interval(labels, units, dataset.classes, dataset.unit)
    low, high = (None, None) if refused else bootstrap_interval(auc, units, seed)
    classes = predicted.shape[1]
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, predicted.argmax(axis=1)), 1)
    rows = tuple(tuple(int(count) for count in row) for row in confusion)
    return Measures(auc.value(), low, high, float(np.trace(confusion) / len(labels)), rows, refused)
