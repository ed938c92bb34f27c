"""The loop: early stopping, restored weights, divergence, reports."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from cryptml.datasets.base import Dataset
from cryptml.errors import NetworkError
from cryptml.networks.architectures import tiny
from cryptml.networks.front_ends import Standardisation
from cryptml.networks.modules.rounded_accumulator import RoundedAccumulator, excess
from cryptml.training import TrainingSettings
from cryptml.training import fit as fitting
from cryptml.training.examples import Examples, predict
from cryptml.training.fit import Batch, balanced_cross_entropy, fit, seeded
from cryptml.training.progress import later


@pytest.fixture(scope="module")
def sets(phantoms: Dataset) -> tuple[Examples, Examples]:
    front_end = Standardisation(8)
    train, validation = phantoms.take(range(128)), phantoms.take(range(128, 192))
    return Examples.of(train, front_end, views=6), Examples.of(validation, front_end)


def plain_loss(batch: Batch, logits: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits, batch.labels)


def pruned() -> nn.Sequential:
    module = tiny.build(2)
    mask = torch.ones_like(module.linear.weight)
    mask[:, ::2] = 0
    prune.custom_from_mask(module.linear, "weight", mask)
    return module


@pytest.mark.parametrize("build", [tiny.build, pruned])
@pytest.mark.parametrize("best", [1, 3, 80])
def test_weights_of_the_best_epoch_come_back(
    build: object, best: int, sets: tuple[Examples, Examples], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scales are gathered for 300 steps and learned afterwards: epochs 1 and 3 lie before, 80 (of 4 steps) behind."""
    train, validation = sets
    outputs: list[np.ndarray] = []

    def scripted(module: nn.Module, held_out: Examples) -> float:
        outputs.append(predict(module, held_out.inputs[:, 0]))
        return 0.8 + len(outputs) / 1000 if len(outputs) <= best else 0.5

    monkeypatch.setattr(fitting, "_auc", scripted)
    with seeded(0):
        module = build()  # type: ignore[operator]
    settings = TrainingSettings(epochs=100, patience=max(2, best), learning_rate=0.02)
    history = fit(module, train, validation, settings, plain_loss)
    assert history.best == best
    assert len(history.epochs) == min(100, best + max(2, best))
    restored = predict(module, validation.inputs[:, 0])
    np.testing.assert_allclose(restored, outputs[best - 1], atol=1e-6)
    assert np.abs(restored - outputs[-1]).max() > 1e-3
    if build is pruned:
        assert not module.linear.weight[:, ::2].any()


def test_training_stops_when_nothing_improves(sets: tuple[Examples, Examples], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_auc", lambda module, validation: 0.7)
    history = fit(tiny.build(2), *sets, TrainingSettings(epochs=50, patience=3), plain_loss)
    assert (len(history.epochs), history.best, history.best_auc) == (4, 4, 0.7)
    assert history.to_json()["epochs"][3] == {
        "number": 4,
        "loss": history.epochs[3].loss,
        "validation_auc": 0.7,
    }


@pytest.mark.parametrize("judged", [True, False])
def test_the_last_epoch_is_kept_where_it_is_asked_for_or_nothing_judges(
    judged: bool, sets: tuple[Examples, Examples], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "_auc", lambda module, validation: 0.7)
    settings = TrainingSettings(epochs=6, patience=2, keep="last" if judged else "best")
    history = fit(tiny.build(2), sets[0], sets[1] if judged else None, settings, plain_loss)
    assert (len(history.epochs), history.best, history.best_auc) == (6, 6, 0.7 if judged else None)


def test_epochs_before_the_rounding_are_not_kept(
    sets: tuple[Examples, Examples], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are the best of another network: one that is not rounded."""
    monkeypatch.setattr(fitting, "_auc", lambda module, validation: 0.9 if not module[2].active else 0.6)
    module = nn.Sequential(*tiny.build(2))
    module.insert(2, RoundedAccumulator(2, bits=3))
    history = fit(module, *sets, TrainingSettings(epochs=8, patience=1), plain_loss)
    assert [epoch.validation_auc for epoch in history.epochs] == [0.9] * 4 + [0.6] * 2
    assert history.best == 6


def test_accumulators_are_kept_near_their_mean_where_it_is_asked_for(sets: tuple[Examples, Examples]) -> None:
    reaches = []
    for weight in (0.0, 100.0):
        with seeded(0):
            module = nn.Sequential(*tiny.build(2))
        module.insert(2, RoundedAccumulator(2, bits=3))
        settings = TrainingSettings(epochs=20, learning_rate=0.02, range_weight=weight, keep="last")
        fit(module, *sets, settings, plain_loss)
        with torch.no_grad():
            reaches.append(float(excess(module[:2](sets[0].inputs[:, 0]))))
        copy.deepcopy(module)  # nothing of the last batch is left in it
    assert reaches[1] < 0.7 * reaches[0]


def test_a_loss_that_is_not_a_number_is_an_error(sets: tuple[Examples, Examples]) -> None:
    def broken(_batch: Batch, logits: Tensor) -> Tensor:
        return logits.sum() * float("nan")

    with pytest.raises(NetworkError, match=r"became nan in epoch 1 of 5 at a learning rate of 0\.003"):
        fit(tiny.build(2), *sets, TrainingSettings(epochs=5), broken)


@pytest.mark.parametrize("batch", [4096, 127, 2])
def test_every_batch_size_trains(batch: int, sets: tuple[Examples, Examples]) -> None:
    """127 leaves a single region over, 4096 makes one step an epoch."""
    heard: list[tuple[int, int]] = []
    settings = TrainingSettings(epochs=2, batch=batch)
    fit(tiny.build(2), *sets, settings, plain_loss, lambda epoch, epochs, *_: heard.append((epoch, epochs)))
    assert heard == [(1, 2), (2, 2)]


def test_rare_classes_weigh_as_much_as_frequent_ones(phantoms: Dataset) -> None:
    labels = phantoms.labels
    chosen = np.concatenate([np.flatnonzero(labels == 0)[:6], np.flatnonzero(labels == 1)[:2]])
    examples = Examples.of(phantoms.take(chosen), Standardisation(8))
    weights = examples.class_weights()
    assert weights.tolist() == pytest.approx([8 / 12, 2.0])
    logits = torch.zeros(8, 2, requires_grad=True)
    balanced_cross_entropy(weights)(Batch(examples.inputs, examples.pictures, examples.labels), logits).backward()
    assert logits.grad is not None
    assert logits.grad.sum(dim=0).tolist() == pytest.approx([0, 0], abs=1e-6)


def test_progress_of_several_trainings_counts_on() -> None:
    heard: list[tuple[int, int, float, float]] = []
    report = later(lambda *values: heard.append(values), done=10, total=20)
    assert report is not None
    report(3, 10, 0.5, 0.8)
    assert heard == [(13, 20, 0.5, 0.8)]
    assert later(None, done=0, total=1) is None


def test_a_copy_trained_the_same_way_is_the_same(sets: tuple[Examples, Examples]) -> None:
    first = tiny.build(2)
    second = copy.deepcopy(first)
    histories: list[Any] = []
    for module in (first, second):
        torch.manual_seed(len(histories))
        histories.append(fit(module, *sets, TrainingSettings(epochs=2), plain_loss))
    assert histories[0] == histories[1]
