"""Evaluation of predictions per picture and per patient, and of integer programs."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest

from cryptml.datasets.base import Dataset
from cryptml.errors import DatasetError, NetworkError
from cryptml.networks.network import probabilities
from cryptml.training import TrainedNetwork, evaluate, evaluate_probabilities
from cryptml.training.evaluation.auc import RocAuc
from cryptml.training.evaluation.measures import as_network_says
from cryptml.training.examples import require_training_subsets


def dataset(labels: list[int], patients: str, classes: tuple[str, ...] = ("normal", "lesion")) -> Dataset:
    n = len(labels)
    images = np.zeros((n, 4, 4), np.float32)
    return Dataset("set", images, np.array(labels, np.int64), tuple(patients), classes, ("test",) * n)


def pairs(scores: list[float]) -> np.ndarray:
    positive = np.array(scores, np.float32)
    return np.stack([1 - positive, positive], axis=1)


def test_patients_are_judged_by_their_most_suspicious_picture() -> None:
    # a: a missed picture, saved by the other; b: one false alarm; c: clean; d: found
    data = dataset([1, 1, 0, 0, 0, 0, 1, 0], "aabbccdd")
    result = evaluate_probabilities(pairs([0.1, 0.9, 0.7, 0.2, 0.3, 0.4, 0.8, 0.2]), data)
    assert (result.images, result.patients) == (8, 4)
    assert result.image_level.confusion == ((4, 1), (1, 2))
    assert result.image_level.accuracy == pytest.approx(6 / 8)
    assert result.auc == pytest.approx(10 / 15)
    assert result.patient_level is not None
    assert result.patient_level.confusion == ((1, 1), (0, 2))
    assert result.patient_level.auc == 1
    assert result.patient_level.accuracy == pytest.approx(3 / 4)


def test_the_order_of_pictures_and_the_names_of_patients_do_not_matter() -> None:
    labels, scores = [1, 0, 0, 1, 0, 0], [0.9, 0.3, 0.2, 0.4, 0.6, 0.1]
    first = evaluate_probabilities(pairs(scores), dataset(labels, "aabbcc"))
    second = evaluate_probabilities(pairs(scores[::-1]), dataset(labels[::-1], "aabbcc"))
    assert first.patient_level is not None
    assert second.patient_level is not None
    assert (first.auc, first.patient_level.auc) == (second.auc, second.patient_level.auc)


def test_json_has_both_levels() -> None:
    result = evaluate_probabilities(pairs([0.1, 0.9, 0.7, 0.2]), dataset([0, 1, 1, 0], "abcd"))
    document = json.loads(json.dumps(result.to_json()))
    assert {"auc", "auc_low", "auc_high", "accuracy", "images", "patients", "confusion"} < set(document)
    assert document["confusion"] == [[2, 0], [0, 2]]
    assert set(document["patient_level"]) == {
        "auc", "auc_low", "auc_high", "accuracy", "confusion", "interval_refused"
    }  # fmt: skip


def test_patients_that_are_all_positive_have_no_level_of_their_own() -> None:
    result = evaluate_probabilities(pairs([0.1, 0.9, 0.2, 0.6]), dataset([0, 1, 0, 1], "aabb"))
    assert result.patient_level is None
    assert result.to_json()["patient_level"] is None


def test_three_classes() -> None:
    classes = ("normal", "benign", "malignant")
    predicted = np.eye(3, dtype=np.float32)[[0, 1, 2, 1, 0, 0]] * 0.8 + np.float32(0.2 / 3)
    result = evaluate_probabilities(predicted, dataset([0, 1, 2, 2, 0, 0], "abcdef", classes))
    assert result.image_level.confusion == ((3, 0, 0), (0, 1, 0), (0, 1, 1))
    assert result.patient_level is None
    assert result.patient_level_refused == "a patient has no one class of 3"


def test_one_class_only_is_refused() -> None:
    with pytest.raises(DatasetError, match="1 of 2 classes where an AUC needs every class"):
        evaluate_probabilities(pairs([0.5, 0.5]), dataset([1, 1], "ab"))


def test_predictions_must_fit_the_set() -> None:
    with pytest.raises(DatasetError, match=r"shape \(1, 2\) do not fit set; give \(2, 2\)"):
        evaluate_probabilities(pairs([0.5]), dataset([0, 1], "ab"))


def test_a_network_is_evaluated_through_its_integer_program(trained: TrainedNetwork, phantoms: Dataset) -> None:
    expected = probabilities(trained.network.logits(phantoms.images))
    assert evaluate(trained.network, phantoms) == evaluate_probabilities(expected, phantoms)


def test_a_network_and_a_set_that_do_not_fit_are_refused(trained: TrainedNetwork, phantoms: Dataset) -> None:
    three = dataclasses.replace(phantoms, classes=("a", "b", "c"))
    with pytest.raises(DatasetError, match="has 3 classes where network 'tiny' tells 2 apart"):
        evaluate(trained.network, three)
    with pytest.raises(NetworkError, match="do not fit"):
        evaluate(trained.network, dataset([0, 1], "ab"))


CLASSES = ("malignant", "rest")


def test_the_positive_class_may_be_the_first() -> None:
    data = dataset([0, 0, 1, 1], "aabb", CLASSES).with_positive("malignant")
    result = evaluate_probabilities(pairs([0.9, 0.1, 0.8, 0.7]), data)
    assert result.positive == "malignant"
    assert result.patient_level is not None
    # One picture of the ill patient is told: the patient is found, and the confusion is in the order of the classes.
    assert result.patient_level.confusion == ((1, 0), (0, 1))
    assert result.patient_level.auc == 1


def test_four_classes_claim_nothing_of_patients_but_the_area_of_the_chosen_one() -> None:
    classes = ("a", "b", "c", "d")
    random = np.random.default_rng(0)
    predicted = random.dirichlet(np.ones(4), 80).astype(np.float32)
    data = dataset([place % 4 for place in range(80)], "".join(chr(65 + place // 4) for place in range(80)), classes)
    plain, chosen = evaluate_probabilities(predicted, data), evaluate_probabilities(predicted, data.with_positive("c"))
    assert plain.patient_level is None
    assert chosen.patient_level is None
    assert (plain.positive, chosen.positive) == (None, "c")
    assert chosen.auc == RocAuc(data.labels, predicted, "set", 2).value()
    assert chosen.auc != plain.auc


@pytest.mark.parametrize("known", [True, False])
def test_intervals_of_few_patients_are_refused_with_the_reason(known: bool) -> None:
    unit = "patient" if known else "picture"
    data = dataclasses.replace(dataset([0, 1] * 9, "abcdefghijklmnopqr"), patients_known=known)
    result = evaluate_probabilities(pairs(list(np.linspace(0, 1, 18))), data)
    assert result.image_level.auc_low is None
    assert result.image_level.interval == f"none: 9 {unit}s of normal and 9 {unit}s of lesion, fewer than 10"
    assert json.loads(json.dumps(result.to_json()))["auc_high"] is None
    more = dataclasses.replace(dataset([0, 1] * 10, "abcdefghijklmnopqrst"), patients_known=known)
    assert evaluate_probabilities(pairs(list(np.linspace(0, 1, 20))), more).image_level.auc_low is not None


def test_many_pictures_of_few_patients_have_no_interval() -> None:
    data = dataset([0] * 60 + [1] * 60, "abc" * 20 + "def" * 20)
    assert "3 patients of lesion" in evaluate_probabilities(pairs([0.5] * 120), data).image_level.interval


def test_without_known_patients_there_is_no_level_of_theirs() -> None:
    data = dataclasses.replace(dataset([0, 1, 0, 1], "abcd"), patients_known=False)
    result = evaluate_probabilities(pairs([0.1, 0.2, 0.3, 0.4]), data)
    assert (result.patients, result.patient_level) == (None, None)
    assert result.patient_level_refused == "patients are not known"


def test_the_network_says_which_class_is_positive(trained: TrainedNetwork) -> None:
    network = dataclasses.replace(trained.network, classes=CLASSES, positive="malignant")
    turned = dataset([0, 1, 1], "abc", CLASSES[::-1])
    found = as_network_says(network, turned)
    assert (found.classes, found.positive_class, found.labels.tolist()) == (CLASSES, "malignant", [1, 0, 0])
    with pytest.raises(DatasetError, match="a network is judged on pictures of its own classes"):
        as_network_says(network, dataset([0, 1], "ab", ("ill", "well")))


@pytest.mark.parametrize(("only", "lacking"), [("train", "validation"), ("validation", "train")])
def test_a_set_without_pictures_to_train_on_or_to_choose_by_is_said_to_be_so(
    few: Dataset, only: str, lacking: str
) -> None:
    with pytest.raises(DatasetError, match=rf"phantom has 96 in {only} and none in {lacking}, which a training needs"):
        require_training_subsets(replace(few, subsets=(only,) * len(few)))
