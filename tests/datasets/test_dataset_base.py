"""What holds for every data set: its checks, subsets and folds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptml.datasets import Dataset
from cryptml.datasets.subsets import SUBSETS, assign_subsets
from cryptml.errors import DatasetError

EXPECTED = ("train", "train", "train", "train", "train", "train", "validation", "test")


def small(**changes: object) -> Dataset:
    """Four pictures of three patients; changes replace fields."""
    fields: dict[str, object] = {
        "name": "small",
        "images": np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 2, 2),
        "labels": np.array([0, 1, 1, 0]),
        "patients": ("anna", "anna", "berta", "cora"),
        "classes": ("normal", "abnormal"),
        "subsets": ("train", "train", "validation", "train"),
    }
    return Dataset(**{**fields, **changes})  # type: ignore[arg-type]


def of_patients(owners: list[int], labels: list[int]) -> Dataset:
    patients = tuple(f"p{owner}" for owner in owners)
    images = np.zeros((len(owners), 1, 1), np.float32)
    return Dataset("drawn", images, np.array(labels), patients, ("no", "yes"), assign_subsets(patients))


class TestChecks:
    def test_is_read_only(self) -> None:
        dataset = small()
        assert (len(dataset), dataset.side) == (4, 2)
        with pytest.raises(ValueError):
            dataset.images[0, 0, 0] = 1
        with pytest.raises(ValueError):
            dataset.labels[0] = 1

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"images": np.zeros((4, 2, 2))}, "float64"),
            ({"images": np.zeros((4, 2, 3), np.float32)}, r"\(4, 2, 3\)"),
            ({"images": np.zeros((4, 4), np.float32)}, r"\(4, 4\)"),
            ({"images": np.zeros((0, 2, 2), np.float32)}, r"\(0, 2, 2\)"),
            ({"images": np.full((4, 2, 2), np.nan, np.float32)}, r"\[0, 1\]"),
            ({"images": np.full((4, 2, 2), 1.1, np.float32)}, r"\[0, 1\]"),
            ({"images": np.full((4, 2, 2), -0.1, np.float32)}, r"\[0, 1\]"),
            ({"labels": np.zeros(4, np.int32)}, "int32"),
            ({"labels": np.zeros(3, np.int64)}, r"\(3,\)"),
            ({"labels": np.array([0, 1, 2, 0])}, "0 to 2"),
            ({"labels": np.array([0, 1, -1, 0])}, "-1 to 1"),
            ({"classes": ("one",), "labels": np.zeros(4, np.int64)}, "at least two"),
            ({"classes": ("one", "one")}, "each once"),
            ({"patients": ("a",) * 3}, "3 patients for 4 pictures"),
            ({"subsets": ("train",) * 5}, "5 subsets for 4 pictures"),
            ({"subsets": ("train", "train", "exam", "train")}, "'exam'"),
            ({"subsets": ("train", "test", "train", "train")}, "'anna'"),
        ],
    )
    def test_refusals(self, changes: dict[str, object], words: str) -> None:
        with pytest.raises(DatasetError, match=words):
            small(**changes)


class TestTaking:
    def test_keeps_the_order_asked_for(self) -> None:
        dataset = small()
        taken = dataset.take([3, 1])
        assert taken.patients == ("cora", "anna")
        assert taken.labels.tolist() == [0, 1]
        np.testing.assert_array_equal(taken.images, dataset.images[[3, 1]])

    @pytest.mark.parametrize("indices", [[], [[0]], [0.5], [True], [-1], [4]])
    def test_refusals(self, indices: list[int]) -> None:
        with pytest.raises(DatasetError):
            small().take(indices)

    def test_subsets(self) -> None:
        dataset = small()
        assert dataset.subset("all") is dataset
        assert dataset.subset("train").patients == ("anna", "anna", "cora")
        assert dataset.subset("validation").patients == ("berta",)

    def test_an_empty_subset_names_the_others(self) -> None:
        with pytest.raises(DatasetError, match="choose one of train, validation or all"):
            small().subset("test")

    def test_an_unknown_subset(self) -> None:
        with pytest.raises(DatasetError, match="'exam'"):
            small().subset("exam")


class TestAssigning:
    @given(st.lists(st.text(max_size=8), max_size=20), st.text(max_size=8))
    def test_nobody_moves_when_others_come(self, patients: list[str], newcomer: str) -> None:
        before = assign_subsets(patients)
        assert assign_subsets([newcomer, *patients])[1:] == before

    def test_shares(self) -> None:
        found = assign_subsets([f"patient {number}" for number in range(20_000)])
        shares = [found.count(name) / len(found) for name in SUBSETS]
        assert shares == pytest.approx([0.70, 0.15, 0.15], abs=0.01)

    def test_is_the_same_for_ever(self) -> None:
        assert assign_subsets([f"patient {number}" for number in range(8)]) == EXPECTED


@st.composite
def drawn(draw: st.DrawFn) -> tuple[Dataset, int, int]:
    owners = draw(st.lists(st.integers(0, 30), min_size=2, max_size=60).filter(lambda found: len(set(found)) >= 2))
    labels = draw(st.lists(st.integers(0, 1), min_size=len(owners), max_size=len(owners)))
    return of_patients(owners, labels), draw(st.integers(2, len(set(owners)))), draw(st.integers(0, 9))


class TestFolds:
    @given(drawn())
    def test_every_picture_is_tested_once_and_no_patient_is_on_both_sides(self, case: tuple[Dataset, int, int]) -> None:
        dataset, k, seed = case
        folds = dataset.folds(k, seed)
        assert len(folds) == k
        assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(dataset)))
        for train, test in folds:
            assert test.size > 0
            assert sorted([*train, *test]) == list(range(len(dataset)))
            assert not {dataset.patients[i] for i in train} & {dataset.patients[i] for i in test}

    @given(drawn())
    def test_every_fold_has_its_share_of_positive_patients(self, case: tuple[Dataset, int, int]) -> None:
        dataset, k, seed = case
        positive = {patient for patient, label in zip(dataset.patients, dataset.labels, strict=True) if label}
        for group in (positive, set(dataset.patients) - positive):
            counts = [len({dataset.patients[i] for i in test} & group) for _, test in dataset.folds(k, seed)]
            assert max(counts) - min(counts) <= 1

    @given(drawn(), st.randoms(use_true_random=False))
    def test_depends_on_the_patients_not_on_their_order(self, case: tuple[Dataset, int, int], random: object) -> None:
        dataset, k, seed = case
        order = list(range(len(dataset)))
        random.shuffle(order)  # type: ignore[attr-defined]
        shuffled = dataset.take(order)

        def tested(one: Dataset) -> list[set[str]]:
            return [{one.patients[i] for i in test} for _, test in one.folds(k, seed)]

        assert tested(shuffled) == tested(dataset)

    def test_the_seed_matters(self) -> None:
        dataset = of_patients(list(range(40)), [0, 1] * 20)
        assert dataset.folds(5, 0)[0][1].tolist() != dataset.folds(5, 1)[0][1].tolist()

    @pytest.mark.parametrize("k", [-1, 0, 1, 4])
    def test_bounds(self, k: int) -> None:
        with pytest.raises(DatasetError, match="choose 2 to 3"):
            small().folds(k)
