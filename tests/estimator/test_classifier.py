"""The classifier with the habits of scikit-learn: tables and pictures, in the clear, simulated and encrypted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.model_selection import cross_val_score
from torch import nn

from cryptml.datasets import load_dataset
from cryptml.errors import CryptmlError, NetworkError, SettingError
from cryptml.estimator import EncryptedClassifier
from cryptml.networks import Row, load_network
from cryptml.networks.front_ends import restore_front_end

Table = tuple[npt.NDArray[Any], npt.NDArray[np.int64]]


@pytest.fixture(scope="module")
def cancer() -> Table:
    rows, labels = load_breast_cancer(return_X_y=True)
    return rows, labels


@pytest.fixture(scope="module")
def fitted(cancer: Table) -> EncryptedClassifier:
    rows, labels = cancer
    return EncryptedClassifier(hidden=6, epochs=20).fit(rows[:400], np.where(labels[:400], "benign", "malignant"))


def small(classes: int = 2) -> nn.Sequential:
    return nn.Sequential(
        qnn.QuantIdentity(bit_width=3, return_quant_tensor=True),
        qnn.QuantConv2d(1, 2, 4, stride=4, bias=False, weight_bit_width=3),
        nn.BatchNorm2d(2),
        qnn.QuantReLU(bit_width=2, return_quant_tensor=True),
        nn.Flatten(),
        qnn.QuantLinear(8, classes, bias=True, weight_bit_width=3),
    )


class TestTables:
    def test_it_learns(self, fitted: EncryptedClassifier, cancer: Table) -> None:
        rows, labels = cancer[0][400:], np.where(cancer[1][400:], "benign", "malignant")
        assert fitted.score(rows, labels) > 0.9
        assert list(fitted.classes_) == ["benign", "malignant"]
        assert (fitted.predict(rows, "simulate") == fitted.predict(rows)).mean() > 0.95
        chances = fitted.predict_proba(rows)
        assert chances.shape == (len(rows), 2)
        assert np.allclose(chances.sum(axis=1), 1, atol=1e-5)

    def test_it_is_cross_validated_and_cloned(self) -> None:
        rows, labels = load_wine(return_X_y=True)
        one = EncryptedClassifier(hidden=6, epochs=20, seed=3)
        assert clone(one).get_params() == one.get_params()
        assert cross_val_score(one, rows, labels, cv=2).min() > 0.8

    @pytest.mark.encrypted
    def test_encrypted_answers_are_those_of_the_integers(self, fitted: EncryptedClassifier, cancer: Table) -> None:
        rows = cancer[0][400:]
        sure = rows[fitted.predict_proba(rows).max(axis=1) > 0.9][:4]
        with pytest.raises(SettingError, match=r"call compile\(\) before"):
            fitted.predict(sure, "execute")
        assert (fitted.compile().predict(sure, "execute") == fitted.predict(sure)).all()

    def test_it_is_saved_for_the_commands(self, fitted: EncryptedClassifier, cancer: Table, tmp_path: Path) -> None:
        fitted.save(tmp_path / "network")
        network = load_network(str(tmp_path / "network"))
        regions = fitted.regions(cancer[0][:20])
        assert regions.shape == (20, 6, 6)
        assert (network.logits(regions).argmax(axis=1) == fitted.predict_proba(cancer[0][:20]).argmax(axis=1)).all()

    def test_rows_of_one_group_count_as_one_patient(self, cancer: Table) -> None:
        rows, labels = cancer[0][:60], cancer[1][:60]
        one = EncryptedClassifier(hidden=2, epochs=1)
        assert one.fit(rows, labels, groups=np.arange(60) // 2).predict(rows).shape == (60,)
        with pytest.raises(SettingError, match=r"groups has the shape \(3,\)"):
            one.fit(rows, labels, groups=[1, 2, 3])


class TestModules:
    @pytest.fixture(scope="class")
    def pictures(self) -> Table:
        drawn = load_dataset("phantom:images=80,contrast=0.5", 8)
        return drawn.images, drawn.labels

    def test_a_module_of_ones_own_reads_pictures(self, pictures: Table) -> None:
        images, labels = pictures
        module = small()
        before = module[1].weight.detach().clone()
        one = EncryptedClassifier.from_module(module, epochs=3).fit(images, labels)
        assert one.predict(images[:, None]).shape == (80,)
        assert bool((module[1].weight == before).all()), "the module that was given is not changed"
        assert [layer.kind for layer in one.network_.layers] == ["convolution", "activation", "linear"]

    def test_a_module_reads_a_table_too(self) -> None:
        rows, labels = load_wine(return_X_y=True)
        module = nn.Sequential(
            qnn.QuantIdentity(bit_width=4, return_quant_tensor=True),
            qnn.QuantLinear(13, 3, bias=True, weight_bit_width=4),
        )
        assert EncryptedClassifier.from_module(module, epochs=30).fit(rows, labels).score(rows, labels) > 0.9

    def test_what_does_not_build_is_refused_before_the_training(self, pictures: Table) -> None:
        with pytest.raises(NetworkError):
            EncryptedClassifier.from_module(nn.Sequential(nn.Linear(64, 2)), epochs=3).fit(*pictures)

    def test_choices_that_do_not_fit(self, pictures: Table) -> None:
        images, labels = pictures
        for one, said in (
            (EncryptedClassifier(), "give a module for 8 x 8 pixels, or a network"),
            (EncryptedClassifier(network="scatter"), "takes pictures of 28 x 28"),
            (EncryptedClassifier(network="nobody"), "unknown; use one of conv"),
            (EncryptedClassifier(small(), network="tiny"), "give one of them"),
        ):
            with pytest.raises(SettingError, match=said):
                one.fit(images, labels)


BAD: list[tuple[object, object, str]] = [
    ([[1.0, np.nan], [1, 2]], [0, 1], "1 values that are not finite"),
    ([["a", "b"], ["c", "d"]], [0, 1], "encode categories as numbers"),
    ([1.0, 2.0], [0, 1], "has the shape"),
    (np.zeros((2, 4, 5)), [0, 1], "has the shape"),
    (np.full((2, 8, 8), 3.0), [0, 1], "bring them into"),
    ([[1.0], [2.0]], [0, 1, 1], "one label a row"),
    ([[1.0], [2.0]], [0, 0], "class"),
]


@pytest.mark.parametrize(("rows", "labels", "said"), BAD)
def test_values_that_do_not_fit_are_refused_in_a_sentence(rows: object, labels: object, said: str) -> None:
    with pytest.raises(CryptmlError, match=said):
        EncryptedClassifier(hidden=2, epochs=1).fit(rows, labels)  # type: ignore[arg-type]


def test_questions_that_do_not_fit_are_refused(fitted: EncryptedClassifier, cancer: Table) -> None:
    with pytest.raises(SettingError, match="29 numbers a row where 30 were fitted"):
        fitted.predict(cancer[0][:2, :29])
    with pytest.raises(SettingError, match="fhe is 'perhaps'"):
        fitted.predict(cancer[0][:2], "perhaps")  # type: ignore[arg-type]


@given(st.integers(1, 200), st.integers(0, 10))
def test_a_row_is_what_was_filled_in(count: int, seed: int) -> None:
    front_end = Row.of(count)
    rows = np.random.default_rng(seed).random((2, count), dtype=np.float32)
    regions = front_end.fill(rows)
    assert regions.shape == (2, front_end.side, front_end.side)
    assert np.allclose(front_end.apply(regions), (2 * rows - 1) * front_end.reach, atol=1e-5)
    assert restore_front_end(front_end.to_json()) == front_end


@pytest.mark.parametrize(
    ("side", "count", "reach"), [(3, 10, 3.0), (3, 4, 3.0), (0, 0, 3.0), (2, 4, 0.0), (2, 4, 101.0)]
)
def test_rows_that_cannot_be(side: int, count: int, reach: float) -> None:
    with pytest.raises(NetworkError, match="front end of"):
        Row(side, count, reach)
