"""Subsets with their share of every class; the same picture found again."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptml.datasets import Dataset, find_duplicates
from cryptml.datasets.subsets import SUBSETS, stratify, units

Pictures = list[tuple[int, int]]


def pictures(drawn: Pictures) -> tuple[list[str], np.ndarray]:
    return [f"patient {owner}" for owner, _ in drawn], np.array([label for _, label in drawn], np.int64)


DRAWN = st.lists(st.tuples(st.integers(0, 80), st.integers(0, 3)), min_size=1, max_size=200)


@settings(max_examples=200, deadline=None)
@given(DRAWN)
def test_every_subset_has_its_share_of_every_class_and_patients_stay_whole(drawn: Pictures) -> None:
    names, labels = pictures(drawn)
    subsets = stratify(names, labels, {})
    of_patient = dict(zip(names, subsets, strict=True))
    assert tuple(of_patient[name] for name in names) == subsets
    counted: dict[int, Counter[str]] = {}
    for name, label in units(names, labels).items():
        counted.setdefault(label, Counter())[of_patient[name]] += 1
    for counts in counted.values():
        total = counts.total()
        for subset, share in zip(SUBSETS, (0.7, 0.15, 0.15), strict=True):
            assert abs(counts[subset] - share * total) <= 1.5
        if total > 2:
            assert min(counts[subset] for subset in SUBSETS) >= 1


@settings(max_examples=100, deadline=None)
@given(DRAWN, st.randoms(use_true_random=False))
def test_the_order_of_pictures_does_not_matter(drawn: Pictures, random: object) -> None:
    names, labels = pictures(drawn)
    first = dict(zip(names, stratify(names, labels, {}), strict=True))
    random.shuffle(drawn)  # type: ignore[attr-defined]
    names, labels = pictures(drawn)
    assert dict(zip(names, stratify(names, labels, {}), strict=True)) == first


def test_shares_of_a_class_are_alike_where_a_hash_alone_gave_25_26_and_34_percent() -> None:
    """The numbers of a public set of 647 pictures, 210 of them malignant."""
    names = [f"benign ({number}).png" for number in range(437)] + [f"malignant ({number}).png" for number in range(210)]
    labels = np.array([0] * 437 + [1] * 210, np.int64)
    subsets = np.array(stratify(names, labels, {}))
    shares = [labels[subsets == subset].mean() for subset in SUBSETS]
    assert max(shares) - min(shares) < 0.005


def test_given_subsets_are_kept() -> None:
    names = [f"{number}" for number in range(20)]
    labels = np.zeros(20, np.int64)
    subsets = stratify(names, labels, {"3": "test", "4": "test"})
    assert (subsets[3], subsets[4]) == ("test", "test")


def test_a_patient_of_two_classes_counts_for_the_rarer_one() -> None:
    assert units(["a", "a", "b", "c"], np.array([0, 1, 1, 1])) == {"a": 0, "b": 1, "c": 1}
    assert units(["a", "a", "b", "c"], np.array([0, 1, 1, 1]), 1) == {"a": 1, "b": 1, "c": 1}


def test_another_positive_class_moves_no_picture_and_spreads_it_over_folds() -> None:
    labels = np.array([0, 1, 1, 1] * 10, np.int64)
    names = tuple(f"{place // 4}" for place in range(40))
    data = Dataset(
        "set", np.zeros((40, 2, 2), np.float32), labels, names, ("malignant", "rest"), stratify(names, labels, {})
    )
    other = data.with_positive("malignant")
    assert other.subsets == data.subsets
    assert (data.positive_label, other.positive_label) == (1, 0)


def test_chains_of_equal_pictures_are_one_group() -> None:
    images = np.random.default_rng(0).random((6, 2, 2), np.float32)
    images[3] = images[0]
    images[5] = images[3]
    images[4] = images[2]
    data = Dataset(
        "set", images, np.array([0, 1] * 3), tuple("abcdef"), ("x", "y"), ("train",) * 6, patients_known=False
    )
    assert find_duplicates(data) == ((0, 3, 5), (2, 4))
    assert find_duplicates(data.take([0, 1, 2])) == ()
