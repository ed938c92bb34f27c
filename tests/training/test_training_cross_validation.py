"""Cross-validation keeps patients apart."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cryptml.datasets.base import Dataset
from cryptml.errors import DatasetError
from cryptml.networks.architectures.registry import load_architecture
from cryptml.training import TrainingSettings, cross_validate, cross_validation
from cryptml.training.cross_validation import inner_split

SETTINGS = TrainingSettings(epochs=2, batch=16)


def test_patients_are_never_mixed_and_every_picture_is_predicted_once(
    few: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[set[str], set[str]]] = []
    taught: list[tuple[set[str], set[str]]] = []
    tested: list[tuple[str, ...]] = []
    train_network, train_teacher = cross_validation.train_network, cross_validation.train_teacher
    predict_integers = cross_validation.predict_integers

    def spy_network(architecture, train, validation, *rest):  # type: ignore[no-untyped-def]
        trained.append((set(train.patients), set(validation.patients)))
        return train_network(architecture, train, validation, *rest)

    def spy_teacher(train, validation, *rest):  # type: ignore[no-untyped-def]
        taught.append((set(train.patients), set(validation.patients)))
        return train_teacher(train, validation, *rest)

    def spy_predict(network, dataset):  # type: ignore[no-untyped-def]
        tested.append(dataset.patients)
        return predict_integers(network, dataset)

    monkeypatch.setattr(cross_validation, "train_network", spy_network)
    monkeypatch.setattr(cross_validation, "train_teacher", spy_teacher)
    monkeypatch.setattr(cross_validation, "predict_integers", spy_predict)
    heard: list[tuple[int, int]] = []
    result = cross_validate(
        load_architecture("tiny"), few, 3, SETTINGS, lambda epoch, epochs, *_: heard.append((epoch, epochs))
    )
    assert heard == [(epoch, 12) for epoch in range(1, 13)]
    assert taught == trained
    for (train, validation), test in zip(trained, tested, strict=True):
        assert not train & validation
        assert not (train | validation) & set(test)
        assert train | validation | set(test) == set(few.patients)
    assert sorted(patient for test in tested for patient in test) == sorted(few.patients)
    assert (result.quantised.images, result.teacher.images, result.folds) == (96, 96, 3)
    document = json.loads(json.dumps(result.to_json()))
    assert document["settings"]["epochs"] == 2
    for side in ("quantised", "teacher"):
        assert document[side]["auc_low"] <= document[side]["auc"] <= document[side]["auc_high"]


def test_predictions_come_back_in_the_order_of_the_set(few: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A teacher and a network that know the labels have an area of one only if nothing is shuffled."""
    rows = {image.tobytes(): label for image, label in zip(few.images, few.labels, strict=True)}

    def oracle(_network: object, dataset: Dataset) -> np.ndarray:
        return np.eye(2, dtype=np.float32)[[rows[image.tobytes()] for image in dataset.images]]

    monkeypatch.setattr(cross_validation, "predict_integers", oracle)
    result = cross_validate(load_architecture("tiny"), few, 2, TrainingSettings(epochs=1, distil=False))
    assert result.quantised.auc == 1
    assert result.teacher.auc < 1


def test_inner_split_takes_a_sixth_of_the_patients(phantoms: Dataset) -> None:
    learning, judging = inner_split(phantoms, 0)
    assert not set(learning.patients) & set(judging.patients)
    assert len(judging) / len(phantoms) == pytest.approx(1 / 6, abs=0.01)
    two = phantoms.take([0, 1, 2, 3])
    assert [len(part) for part in inner_split(two, 0)] == [2, 2]


def test_impossible_folds_are_refused(few: Dataset) -> None:
    with pytest.raises(DatasetError, match="1 folds were asked"):
        cross_validate(load_architecture("tiny"), few, 1, SETTINGS)
    with pytest.raises(DatasetError, match="2 folds were asked of the 1 patients"):
        inner_split(few.take([0]), 0)
