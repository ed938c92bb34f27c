"""Points on the ROC curve, calibration, and the plain baseline."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptml.datasets.base import Dataset
from cryptml.errors import DatasetError, SettingError
from cryptml.training import fit_baseline, judge
from cryptml.training.evaluation.calibration import BINS, calibrate
from cryptml.training.evaluation.roc import operating_points

SCORED = st.lists(
    st.tuples(st.booleans(), st.integers(0, 20).map(lambda step: step / 20)), min_size=2, max_size=60
).filter(lambda rows: len({truth for truth, _ in rows}) == 2)


def arrays(rows: list[tuple[bool, float]]) -> tuple[np.ndarray, np.ndarray]:
    labels = np.array([truth for truth, _ in rows], np.int64)
    scores = np.array([score for _, score in rows], np.float32)
    return labels, np.stack([1 - scores, scores], axis=1)


@settings(max_examples=200, deadline=None)
@given(SCORED, st.floats(0, 1))
def test_a_point_is_what_its_threshold_gives_and_none_is_better(rows: list[tuple[bool, float]], wanted: float) -> None:
    labels, predicted = arrays(rows)
    (point,) = operating_points(labels, predicted, 1, [wanted])
    scores = predicted[:, 1]
    called = scores >= (np.inf if point.threshold is None else np.float32(point.threshold))
    assert point.sensitivity == pytest.approx(called[labels == 1].mean())
    assert point.specificity == pytest.approx(1 - called[labels == 0].mean())
    assert point.specificity >= wanted - 1e-6
    for threshold in scores:
        if 1 - (scores[labels == 0] >= threshold).mean() >= wanted:
            assert (scores[labels == 1] >= threshold).mean() <= point.sensitivity + 1e-9


def test_points_by_hand() -> None:
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1])
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.8, 0.35, 0.5, 0.7, 0.9], np.float32)
    points = operating_points(labels, np.stack([1 - scores, scores], axis=1), 1, [0.8, 1])
    assert [(each.sensitivity, each.specificity) for each in points] == [(0.75, 0.8), (0.25, 1)]
    assert points[0].threshold == pytest.approx(0.5)
    with pytest.raises(SettingError, match="specificity 1.5 is not from 0 to 1"):
        operating_points(labels, np.stack([1 - scores, scores], axis=1), 1, [1.5])


@settings(max_examples=200, deadline=None)
@given(SCORED)
def test_calibration_counts_every_picture_once(rows: list[tuple[bool, float]]) -> None:
    labels, predicted = arrays(rows)
    found = calibrate(labels, predicted, ("no", "yes"), 1)
    assert sum(each.pictures for each in found.bins) == len(labels)
    assert len(found.bins) == BINS
    assert 0 <= found.error <= 1
    assert found.brier == pytest.approx(np.mean((predicted[:, 1] - labels) ** 2), abs=1e-6)
    weighted = sum(
        each.pictures * abs(each.probability - each.share)
        for each in found.bins
        if each.probability is not None and each.share is not None
    )
    assert found.error == pytest.approx(weighted / len(labels))


def test_calibration_by_hand() -> None:
    labels = np.array([1, 1, 1, 0, 0])
    scores = np.array([0.85, 0.85, 0.85, 0.85, 1.0], np.float32)
    found = calibrate(labels, np.stack([1 - scores, scores], axis=1), ("no", "yes"), 1)
    assert found.of == "yes"
    assert (found.bins[8].pictures, found.bins[8].share) == (4, 0.75)
    assert found.bins[8].probability == pytest.approx(0.85)
    assert (found.bins[9].pictures, found.bins[9].share) == (1, 0)
    assert found.error == pytest.approx((4 * 0.1 + 1 * 1.0) / 5)


def test_without_a_positive_class_the_most_probable_one_is_judged() -> None:
    predicted = np.array([[0.6, 0.2, 0.2], [0.1, 0.1, 0.8], [0.2, 0.5, 0.3]], np.float32)
    found = calibrate(np.array([0, 2, 0]), predicted, ("a", "b", "c"), None)
    assert found.of is None
    assert [each.pictures for each in found.bins][5:9] == [1, 1, 0, 1]
    assert found.brier == pytest.approx((0.24 + 0.06 + 0.98) / 3, abs=1e-6)


def ramps(side: int, count: int, noise: float = 0.2) -> Dataset:
    """Pictures that are brighter at the right (class 1) or at the left."""
    random = np.random.default_rng(3)
    labels = np.arange(count) % 2
    ramp = np.linspace(-0.2, 0.2, side)
    images = 0.5 + np.where(labels, 1, -1)[:, None, None] * ramp + noise * random.standard_normal((count, side, side))
    subsets = tuple(("train", "train", "train", "validation", "test")[place // 2 % 5] for place in range(count))
    names = tuple(f"{place}" for place in range(count))
    return Dataset("ramps", images.clip(0, 1).astype(np.float32), labels, names, ("left", "right"), subsets)


@pytest.mark.parametrize("side", [4, 24])
def test_the_baseline_learns_what_is_plain(side: int) -> None:
    data = ramps(side, 200)
    baseline = fit_baseline(data)
    part = data.subset("test")
    judged = judge(baseline.predict(part.images), part)
    assert judged.evaluation.auc > 0.95
    assert judged.calibration.brier < 0.15
    document = json.loads(json.dumps(judged.to_json()))
    assert [each["wanted"] for each in document["sensitivity"]] == [0.8, 0.9, 0.95]
    assert document["positive"] == "right"


def test_the_shortcut_for_few_pictures_changes_nothing() -> None:
    data = ramps(12, 100)
    short = fit_baseline(data)
    whole = fit_baseline(data, most_spanned=0)
    assert short.strength == whole.strength
    np.testing.assert_allclose(short.predict(data.images), whole.predict(data.images), atol=2e-3)


def test_the_baseline_never_looks_at_test_pictures() -> None:
    data = ramps(6, 100)
    images = data.images.copy()
    images[np.array(data.subsets) == "test"] = 0
    np.testing.assert_array_equal(
        fit_baseline(data).predict(data.images),
        fit_baseline(dataclasses.replace(data, images=images)).predict(data.images),
    )


def test_a_set_without_training_pictures_has_no_baseline() -> None:
    data = dataclasses.replace(ramps(4, 40), subsets=("test",) * 40)
    with pytest.raises(DatasetError, match="subset 'train' of ramps is empty"):
        fit_baseline(data)
    labels = np.array(
        [0 if subset == "train" else label for subset, label in zip(ramps(4, 40).subsets, data.labels, strict=True)]
    )
    with pytest.raises(DatasetError, match="no training picture of right"):
        fit_baseline(dataclasses.replace(ramps(4, 40), labels=labels))


def test_more_classes_without_a_positive_one_have_no_points() -> None:
    data = dataclasses.replace(ramps(4, 60), classes=("a", "b", "c"), labels=np.arange(60) % 3)
    judged = judge(np.full((60, 3), 1 / 3, np.float32), data)
    assert judged.points == ()
    assert judged.evaluation.auc == 0.5
