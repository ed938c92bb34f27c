"""The distillation loss at its limits, and the teacher it needs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from cryptml.datasets.base import Dataset
from cryptml.errors import DatasetError, NetworkError
from cryptml.networks.front_ends import Standardisation
from cryptml.training import Examples, TrainedTeacher, TrainingSettings, build_teacher, teacher_epochs, train_teacher
from cryptml.training.evaluation.auc import RocAuc
from cryptml.training.fit import Batch
from cryptml.training.teachers.distillation import Features, distil_from, distillation_loss, similarity_loss
from cryptml.training.teachers.network_teacher import Committee, Panel

LOGITS = torch.tensor([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.0]])
TEACHER = torch.tensor([[2.0, 1.0], [0.0, 0.5], [3.0, -3.0]])
LABELS = torch.tensor([0, 1, 1])


def test_weight_zero_is_cross_entropy() -> None:
    value = distillation_loss(LOGITS, TEACHER, LABELS, temperature=3, weight=0)
    assert float(value) == pytest.approx(float(functional.cross_entropy(LOGITS, LABELS)))


def test_class_weights_reach_the_cross_entropy() -> None:
    weights = torch.tensor([0.5, 2.0])
    value = distillation_loss(LOGITS, TEACHER, LABELS, temperature=3, weight=0, class_weights=weights)
    assert float(value) == pytest.approx(float(functional.cross_entropy(LOGITS, LABELS, weight=weights)))


def test_identical_logits_leave_no_divergence() -> None:
    assert float(distillation_loss(LOGITS, LOGITS, LABELS, temperature=3, weight=1)) == pytest.approx(0, abs=1e-6)
    shifted = distillation_loss(LOGITS, LOGITS + 7, LABELS, temperature=3, weight=1)
    assert float(shifted) == pytest.approx(0, abs=1e-5)


def test_divergence_is_that_of_the_definition() -> None:
    p, q = (TEACHER / 2).softmax(1), (LOGITS / 2).softmax(1)
    expected = 4 * (p * (p / q).log()).sum(1).mean()
    value = distillation_loss(LOGITS, TEACHER, LABELS, temperature=2, weight=1)
    assert float(value) == pytest.approx(float(expected), rel=1e-5)


def test_no_gradient_reaches_the_teacher_and_it_is_in_evaluation_mode() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    logits = LOGITS.clone().requires_grad_()
    teacher = TrainedTeacher(module, (), reads="pictures")
    with distil_from(teacher, nn.Identity(), TrainingSettings(), torch.ones(2)) as loss:
        loss(Batch(torch.rand(3, 9), torch.rand(3, 1, 2, 2), LABELS), logits).backward()
    assert logits.grad is not None
    assert all(parameter.grad is None for parameter in module.parameters())


def test_a_teacher_reads_pictures_or_what_the_front_end_makes_of_them() -> None:
    batch = Batch(torch.rand(3, 4), torch.rand(3, 1, 2, 2), LABELS)
    seen, given = batch.pictures.flatten(1), batch.inputs
    assert torch.equal(TrainedTeacher(nn.Flatten(), (), "pictures").logits(batch), seen)
    assert torch.equal(TrainedTeacher(nn.Flatten(), (), "inputs").logits(batch), given)
    panel = Panel(nn.Identity(), nn.Flatten(), machine_scale=3.0)
    torch.testing.assert_close(TrainedTeacher(panel, (), "both").logits(batch), (given + 3 * seen) / 2)


def test_a_committee_is_the_mean_of_its_members(phantoms: Dataset) -> None:
    examples = Examples.of(phantoms, Standardisation(8), views=6)
    settings = TrainingSettings(epochs=10, teacher="committee")
    heard: list[tuple[int, int]] = []
    sets = examples.subset("train"), examples.subset("validation")
    teacher = train_teacher(*sets, settings, lambda epoch, epochs, *_: heard.append((epoch, epochs)))
    assert isinstance(teacher.module, Committee)
    assert not teacher.module.training
    assert heard == [(epoch, 60) for epoch in range(1, 61)]
    assert teacher_epochs(settings) == 60
    inputs = sets[1].inputs[:, 0]
    logits = [member(inputs) for member in teacher.module.members]
    assert not torch.allclose(logits[0], logits[1])
    torch.testing.assert_close(teacher.module(inputs), sum(logits) / 3)
    assert RocAuc(sets[1].labels.numpy(), teacher.predict(sets[1]), "phantoms").value() > 0.8


def test_a_panel_hears_both_of_its_parts_equally(phantoms: Dataset) -> None:
    examples = Examples.of(phantoms, Standardisation(8), views=4)
    train, judge = examples.subset("train"), examples.subset("validation")
    settings = TrainingSettings(epochs=4, views=4, teacher="panel")
    teacher = train_teacher(train, judge, settings)
    panel = teacher.module
    assert isinstance(panel, Panel)
    assert (len(teacher.histories), teacher_epochs(settings)) == (3, 24)
    seen = train.pictures[:, 0]
    with torch.no_grad():
        heard = (panel.committee(train.inputs[:, 0]), panel.machine_scale * panel.machine(seen))
        spreads = [float((logits - logits.mean(1, keepdim=True)).std()) for logits in heard]
        expected = panel(train.inputs[:, 0], seen).softmax(1).numpy()
    assert spreads[0] == pytest.approx(spreads[1], rel=1e-3)
    np.testing.assert_allclose(teacher.predict(train), expected, atol=1e-5)


def test_features_that_see_the_same_likeness_cost_nothing() -> None:
    """Scale, rotation and number of features do not count, only whom a picture resembles."""
    features = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    turned = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1))).Q
    wider = torch.cat([3 * features @ turned, torch.zeros(6, 5)], dim=1)
    assert float(similarity_loss(features, features)) == 0
    assert float(similarity_loss(wider, features)) == pytest.approx(0, abs=1e-9)
    assert float(similarity_loss(features.roll(1, 0), features)) > 1e-3


def test_similarity_is_that_of_the_definition() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(size=(5, 3)), random.normal(size=(5, 7))
    rows = []
    for features in (one, other):
        product = features @ features.T
        rows.append(product / np.linalg.norm(product, axis=1, keepdims=True))
    found = similarity_loss(torch.tensor(one), torch.tensor(other))
    assert float(found) == pytest.approx(float(np.square(rows[0] - rows[1]).sum()) / 25)


def test_features_reach_the_students_loss_and_leave_no_hook() -> None:
    student, teacher = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Linear(3, 2)), build_teacher(2, 2)
    pictures = torch.rand(5, 1, 2, 2)
    labels = torch.tensor([0, 1, 0, 1, 1])
    losses = []
    for weight in (0.0, 2.0):
        settings = TrainingSettings(similarity_weight=weight)
        trained = TrainedTeacher(teacher.eval(), (), reads="pictures")
        with distil_from(trained, student, settings, torch.ones(2)) as loss:
            losses.append(loss(Batch(pictures, pictures, labels), student(pictures)))
    with torch.no_grad():
        expected = similarity_loss(student[:2](pictures), teacher[:-1](pictures))
    assert float(losses[1] - losses[0]) == pytest.approx(2 * 5 * float(expected), rel=1e-4)
    losses[1].backward()
    assert student[1].weight.grad is not None
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not any(each._forward_pre_hooks for module in (student, teacher) for each in module.modules())


def test_a_student_without_a_linear_layer_has_no_features() -> None:
    with pytest.raises(NetworkError, match="a Identity without a linear layer has no features"):
        Features(nn.Identity())


@pytest.mark.parametrize(("side", "poolings"), [(4, 0), (8, 1), (16, 2), (32, 2), (64, 2)])
def test_teacher_fits_every_side(side: int, poolings: int) -> None:
    module = build_teacher(side, 3).eval()
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in module) == poolings
    assert module(torch.zeros(2, 1, side, side)).shape == (2, 3)


def test_teacher_learns_and_leaves_the_global_generator_alone(phantoms: Dataset) -> None:
    before = torch.get_rng_state()
    examples = Examples.of(phantoms, Standardisation(8), views=6)
    teacher = train_teacher(examples.subset("train"), examples.subset("validation"), TrainingSettings(epochs=4))
    best = teacher.histories[0].best_auc
    assert best is not None
    assert best > 0.85
    assert torch.equal(torch.get_rng_state(), before)


def test_teacher_refuses_another_side_and_a_missing_class(phantoms: Dataset) -> None:
    settings = TrainingSettings(epochs=1)
    with pytest.raises(DatasetError, match="side of 8 pixels where the network takes 16"):
        Examples.of(phantoms, Standardisation(16))
    examples = Examples.of(phantoms, Standardisation(8))
    with pytest.raises(DatasetError, match="has no picture of lesion"):
        train_teacher(examples, examples.take(np.flatnonzero(phantoms.labels == 0)), settings)
