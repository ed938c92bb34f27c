"""Cross-validation keeps patients apart."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from cryptml.datasets.base import Dataset
from cryptml.errors import DatasetError
from cryptml.networks import Standardisation
from cryptml.networks.architectures.design import ConvolutionDesign, Design
from cryptml.networks.architectures.registry import Architecture, load_architecture
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR
from cryptml.training import (
    Examples,
    TrainingSettings,
    cross_validate,
    cross_validation,
    predict_program,
    prepare_folds,
    train_network,
    train_teacher,
)
from cryptml.training.cross_validation import inner_split

SETTINGS = TrainingSettings(epochs=2, batch=16, views=2)


def behind(dataset: Dataset) -> Examples:
    return Examples.of(dataset, Standardisation(8), views=2)


def test_patients_are_never_mixed_and_every_picture_is_predicted_once(
    few: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    standardised = Standardisation(few.side).apply(few.images)
    trained: list[tuple[set[str], set[str]]] = []
    taught: list[tuple[set[str], set[str]]] = []
    tested: list[tuple[str, ...]] = []

    def spy_network(architecture, train, validation, *rest):  # type: ignore[no-untyped-def]
        trained.append((set(train.dataset.patients), set(validation.dataset.patients)))
        return train_network(architecture, train, validation, *rest)

    def spy_teacher(train, validation, *rest):  # type: ignore[no-untyped-def]
        taught.append((set(train.dataset.patients), set(validation.dataset.patients)))
        return train_teacher(train, validation, *rest)

    def spy_predict(network, inputs):  # type: ignore[no-untyped-def]
        rows = {behind.tobytes(): patient for behind, patient in zip(standardised, few.patients, strict=True)}
        tested.append(tuple(rows[each.numpy().tobytes()] for each in inputs))
        return predict_program(network, inputs)

    monkeypatch.setattr(cross_validation, "train_network", spy_network)
    monkeypatch.setattr(cross_validation, "train_teacher", spy_teacher)
    monkeypatch.setattr(cross_validation, "predict_program", spy_predict)
    heard: list[tuple[int, int]] = []
    prepared = prepare_folds(behind(few), 3, SETTINGS, lambda epoch, epochs, *_: heard.append((epoch, epochs)))
    result = cross_validate(
        load_architecture("tiny"),
        behind(few),
        prepared,
        SETTINGS,
        lambda epoch, epochs, *_: heard.append((epoch, epochs)),
    )
    assert heard == [(epoch, 6) for _ in range(2) for epoch in range(1, 7)]
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


def test_where_the_last_epoch_is_kept_a_fold_trains_on_all_that_is_left(
    few: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[set[str]] = []
    tested: list[set[str]] = []
    folds = few.folds(3, SETTINGS.seed)

    def spy(architecture, train, validation, *rest):  # type: ignore[no-untyped-def]
        assert validation is None
        trained.append(set(train.dataset.patients))
        return train_network(architecture, train, validation, *rest)

    monkeypatch.setattr(cross_validation, "train_network", spy)
    settings = dataclasses.replace(SETTINGS, keep="last")
    cross_validate(load_architecture("tiny"), behind(few), prepare_folds(behind(few), 3, settings), settings)
    tested = [{few.patients[i] for i in held_out} for _, held_out in folds]
    for train, test in zip(trained, tested, strict=True):
        assert not train & test
        assert train | test == set(few.patients)


def test_predictions_come_back_in_the_order_of_the_set(few: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A teacher and a network that know the labels have an area of one only if nothing is shuffled."""
    standardised = Standardisation(few.side).apply(few.images)
    rows = {behind.tobytes(): label for behind, label in zip(standardised, few.labels, strict=True)}

    def oracle(_network: object, inputs: torch.Tensor) -> np.ndarray:
        return np.eye(2, dtype=np.float32)[[rows[each.numpy().tobytes()] for each in inputs]]

    monkeypatch.setattr(cross_validation, "predict_program", oracle)
    settings = TrainingSettings(epochs=1, distil=False, views=2)
    result = cross_validate(load_architecture("tiny"), behind(few), prepare_folds(behind(few), 2, settings), settings)
    assert result.quantised.auc == 1
    assert result.teacher.auc < 1


def test_what_encryption_changes_is_simulated_on_pictures_that_no_network_has_seen(few: Dataset) -> None:
    settings = TrainingSettings(epochs=2, batch=16, views=2, distil=False, keep="last")
    waves = Design(Standardisation(8), 1, (ConvolutionDesign(4, 4, 4),), 8, True, "triangle", False, 5, 5, 4, 3, 1.0)
    architecture = Architecture("waves", waves.front_end, waves.build)
    prepared = prepare_folds(behind(few), 2, settings)
    found = [
        cross_validate(architecture, behind(few), prepared, settings, p_error=p_error) for p_error in (0.5, 2.0**-300)
    ]
    loud, quiet = (each.rounding for each in found)
    assert loud is not None
    assert quiet is not None
    assert loud.layer == quiet.layer == "act1"
    assert 0 < loud.same_label < quiet.same_label <= 1
    assert quiet.auc_change <= loud.auc_change
    assert found[0].quantised.auc == found[1].quantised.auc
    assert found[1].to_json()["rounding"]["same_label"] == quiet.same_label
    exact = cross_validate(load_architecture("tiny"), behind(few), prepared, settings)
    assert (exact.rounding, exact.to_json()["rounding"], exact.p_error) == (None, None, DEFAULT_P_ERROR)


def test_inner_split_takes_a_sixth_of_the_patients(phantoms: Dataset) -> None:
    examples = Examples.of(phantoms, Standardisation(8))
    learning, judging = inner_split(examples, 0)
    assert not set(learning.dataset.patients) & set(judging.dataset.patients)
    assert len(judging.labels) / len(phantoms) == pytest.approx(1 / 6, abs=0.01)
    two = examples.take(np.arange(4))
    assert [len(part.labels) for part in inner_split(two, 0)] == [2, 2]


def test_impossible_folds_are_refused(few: Dataset) -> None:
    with pytest.raises(DatasetError, match="1 folds were asked"):
        prepare_folds(behind(few), 1, SETTINGS)
    with pytest.raises(DatasetError, match="2 folds were asked of the 1 patients"):
        inner_split(Examples.of(few.take([0]), Standardisation(8)), 0)
