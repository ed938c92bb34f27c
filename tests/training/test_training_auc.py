"""The area under the ROC curve and its interval."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cryptml.errors import DatasetError
from cryptml.training.evaluation.auc import RocAuc, bootstrap_interval


def predictions(n: int, classes: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    scores = np.round(random.random((n, classes)) + 0.5 * np.eye(classes)[labels], 1)  # rounded: many ties
    return labels, (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


def test_two_classes_agree_with_scikit_learn_ties_and_weights_included() -> None:
    labels, scores = predictions(200)
    auc = RocAuc(labels, scores, "set")
    assert auc.value() == pytest.approx(roc_auc_score(labels, scores[:, 1]))
    weights = np.random.default_rng(1).integers(0, 4, 200).astype(float)
    assert auc.value(weights) == pytest.approx(roc_auc_score(labels, scores[:, 1], sample_weight=weights))


def test_more_classes_are_averaged_one_against_the_rest() -> None:
    labels, scores = predictions(300, classes=3)
    scores = scores.astype(np.float64)
    scores /= scores.sum(axis=1, keepdims=True)
    expected = roc_auc_score(labels, scores, multi_class="ovr", average="macro")
    assert RocAuc(labels, scores, "set").value() == pytest.approx(expected, abs=1e-3)


def test_extremes() -> None:
    labels = np.array([0, 0, 1, 1])
    scores = np.array([0.1, 0.2, 0.8, 0.9], np.float32)
    pairs = np.stack([1 - scores, scores], axis=1)
    assert RocAuc(labels, pairs, "set").value() == 1
    assert RocAuc(labels, pairs[:, ::-1], "set").value() == 0
    assert RocAuc(labels, np.full((4, 2), 0.5, np.float32), "set").value() == 0.5
    assert np.isnan(RocAuc(labels, pairs, "set").value(np.array([1.0, 1.0, 0.0, 0.0])))


def test_a_missing_class_is_refused() -> None:
    with pytest.raises(DatasetError, match="set has examples of 1 of 2 classes"):
        RocAuc(np.zeros(4, np.int64), np.full((4, 2), 0.5, np.float32), "set")


def test_interval_holds_the_area_and_shrinks_with_the_number_of_patients() -> None:
    widths = []
    for n in (40, 160, 640):
        labels, scores = predictions(n)
        auc = RocAuc(labels, scores, "set")
        low, high = bootstrap_interval(auc, [str(i) for i in range(n)])
        assert 0 <= low <= auc.value() <= high <= 1
        widths.append(high - low)
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2]


def test_interval_is_seeded() -> None:
    labels, scores = predictions(40)
    auc, patients = RocAuc(labels, scores, "set"), [str(i) for i in range(40)]
    assert bootstrap_interval(auc, patients, 3) == bootstrap_interval(auc, patients, 3)
    assert bootstrap_interval(auc, patients, 3) != bootstrap_interval(auc, patients, 4)


def test_pictures_of_one_patient_do_not_count_as_evidence_of_their_own() -> None:
    labels, scores = predictions(40)
    labels, scores = np.tile(labels, 8), np.tile(scores, (8, 1))
    patients = [str(i % 40) for i in range(320)]
    auc = RocAuc(labels, scores, "set")
    by_patient = bootstrap_interval(auc, patients)
    by_picture = bootstrap_interval(auc, [str(i) for i in range(320)])
    assert by_patient[1] - by_patient[0] > 2 * (by_picture[1] - by_picture[0])
    alone = bootstrap_interval(RocAuc(labels[:40], scores[:40], "set"), patients[:40])
    assert by_patient == pytest.approx(alone)


def test_too_few_patients_have_no_interval() -> None:
    n = 24
    scores = np.full((n, n), 1 / n, np.float32)
    with pytest.raises(DatasetError, match="none of 1000 resamples of 24 patients"):
        bootstrap_interval(RocAuc(np.arange(n), scores, "set"), [str(i) for i in range(n)])
