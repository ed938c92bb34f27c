"""The teacher that has hardly anything to learn: what it reads, what it says, and that it learns from few pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from cryptml.datasets import load_dataset
from cryptml.datasets.base import Dataset
from cryptml.errors import SettingError
from cryptml.networks.front_ends import Deep, Standardisation
from cryptml.training import Examples, TrainingSettings, teacher_epochs, train_teacher
from cryptml.training.evaluation.auc import RocAuc
from cryptml.training.teachers.kernel_teacher import REACH, DeepFeatures, KernelMachine

SIDE = 16
SETTINGS = TrainingSettings(teacher="kernel", views=3)


def examples(views: int = 3, images: int = 160) -> Examples:
    return Examples.of(load_dataset(f"phantom:images={images}", SIDE), Standardisation(SIDE), views=views)


@pytest.mark.parametrize("side", [16, 27, 32])
def test_it_reads_what_the_deep_front_end_gives(side: int) -> None:
    regions = np.random.default_rng(side).random((5, side, side), dtype=np.float32)
    pictures = torch.from_numpy(Standardisation(side).apply(regions))
    found = DeepFeatures()(pictures).numpy()
    np.testing.assert_allclose(found, Deep(side).apply(regions), rtol=1e-3, atol=1e-3)


def test_its_logits_are_the_machine_s_distances() -> None:
    data = examples()
    with torch.no_grad():
        rows = DeepFeatures()(data.pictures[:, 0]).numpy()
    scaler = StandardScaler().fit(rows)
    machine = SVC(gamma=REACH / rows.shape[1]).fit(scaler.transform(rows), data.labels.numpy() == 1)
    expected = machine.decision_function(scaler.transform(rows))
    with torch.no_grad():
        found = KernelMachine([machine], scaler)(data.pictures[:, 0]).numpy()
    np.testing.assert_allclose(found, np.stack([-expected, expected], axis=1), atol=1e-3)


def test_it_learns_from_few_pictures_and_tells_once() -> None:
    data = examples()
    learning, held_out = data.take(np.arange(0, 120)), data.take(np.arange(120, 160))
    heard: list[tuple[int, int]] = []
    teacher = train_teacher(learning, None, SETTINGS, lambda epoch, epochs, *_: heard.append((epoch, epochs)))
    assert heard == [(1, teacher_epochs(SETTINGS))] == [(1, 1)]
    assert teacher.histories == ()
    probabilities = teacher.predict(held_out)
    assert probabilities.shape == (40, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert RocAuc(held_out.labels.numpy(), probabilities, "phantom").value() > 0.75


def test_more_than_two_classes_have_a_machine_each() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = (0.3 * random.random((60, SIDE, SIDE)) + 0.3).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        image[4 + 3 * label : 7 + 3 * label, 3:13] += 0.4
    patients = tuple(f"p{i}" for i in range(60))
    dataset = Dataset("bars", images.clip(0, 1), labels, patients, ("a", "b", "c"), ("train",) * 60)
    data = Examples.of(dataset, Standardisation(SIDE))
    teacher = train_teacher(data.take(np.arange(45)), None, replace(SETTINGS, views=1))
    found = teacher.predict(data.take(np.arange(45, 60)))
    assert found.shape == (15, 3)
    assert (found.argmax(axis=1) == labels[45:]).mean() > 0.8


def test_it_has_no_features_to_imitate() -> None:
    with pytest.raises(SettingError, match="a kernel teacher has no features of its own"):
        replace(SETTINGS, similarity_weight=1.0)
