"""Differences of AUCs on the same pictures, and the plain methods that networks are compared with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptml.datasets.base import Dataset
from cryptml.training.evaluation import feature_baselines
from cryptml.training.evaluation.feature_baselines import STRENGTHS, fit_feature_baselines
from cryptml.training.evaluation.measures import evaluate_probabilities
from cryptml.training.evaluation.paired import paired_difference


def scores(dataset: Dataset, noise: float, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    chance = 1 / (1 + np.exp(-(dataset.labels - 0.5 + noise * random.normal(size=len(dataset)))))
    return np.stack([1 - chance, chance], axis=1).astype(np.float32)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 3))
def test_a_difference_is_that_of_the_mean_areas_and_lies_within_its_interval(
    few: Dataset, seed: int, repeats: int
) -> None:
    ours, theirs = ([scores(few, noise, seed + i) for i in range(repeats)] for noise in (0.5, 1.0))
    found = paired_difference("theirs", ours, theirs, few)
    areas = [np.mean([evaluate_probabilities(each, few).auc for each in both]) for both in (ours, theirs)]
    assert found.difference == pytest.approx(areas[0] - areas[1])
    assert found.auc == pytest.approx(areas[1])
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.difference <= found.high
    again = paired_difference("ours", theirs, ours, few)
    assert again.low == pytest.approx(-found.high)
    assert again.high == pytest.approx(-found.low)


def test_what_is_the_same_differs_by_nothing(few: Dataset) -> None:
    same = [scores(few, 1.0, 0)]
    found = paired_difference("itself", same, same, few)
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert found.interval == "+0.000 to +0.000"


def test_too_few_patients_give_no_interval(few: Dataset) -> None:
    part = few.take(np.concatenate([np.flatnonzero(few.labels == label)[:3] for label in (0, 1)]))
    found = paired_difference("others", [scores(part, 1.0, 0)], [scores(part, 1.0, 1)], part)
    assert found.interval == "none"
    assert found.to_json()["low"] is None


def test_plain_methods_learn_what_is_plain(few: Dataset) -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(len(few), 5)).astype(np.float32)
    rows[:, 2] += 3 * few.labels
    fitted = fit_feature_baselines(rows, few)
    assert [name.split(" on ")[0] for name in fitted] == ["logistic regression", "support vector machine"]
    for predict in fitted.values():
        chances = predict(rows)
        assert chances.dtype == np.float32
        np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-5)
        assert evaluate_probabilities(chances, few).auc > 0.95


def test_the_strength_is_chosen_on_folds_by_patient(few: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that tell patients apart and nothing else are best weighed least."""
    random = np.random.default_rng(0)
    own = {patient: random.normal(size=200) for patient in few.patients}
    rows = np.stack([own[patient] for patient in few.patients]).astype(np.float32)
    assert feature_baselines.chosen_strength(rows, few) == STRENGTHS[0]


def test_many_pictures_have_no_such_baselines(few: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_baselines, "MOST_ROWS", 10)
    assert fit_feature_baselines(np.zeros((len(few), 2), np.float32), few) == {}
