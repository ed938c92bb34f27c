"""From an architecture and a data set to an integer program."""

from __future__ import annotations

import dataclasses

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from torch import nn

from cryptml.datasets.base import Dataset
from cryptml.errors import DatasetError, NetworkError, SettingError
from cryptml.networks.architectures.design import ConvolutionDesign, Design
from cryptml.networks.architectures.registry import Architecture, load_architecture
from cryptml.networks.conversion import largest_difference
from cryptml.networks.front_ends import Standardisation
from cryptml.networks.modules.blocks import input_grid, linear, value_of
from cryptml.networks.network import Network
from cryptml.training import Examples, TrainedNetwork, TrainingSettings, check_convertible, evaluate, qat, train_network

TINY = load_architecture("tiny")
SHORT = TrainingSettings(epochs=2, batch=16, views=3)


def tensors(network: Network) -> list[np.ndarray]:
    return [tensor for layer in network.layers for tensor in layer.tensors().values()]


def halves(dataset: Dataset) -> tuple[Examples, Examples]:
    examples, middle = Examples.of(dataset, TINY.front_end, views=3), len(dataset) // 2
    return examples.take(np.arange(middle)), examples.take(np.arange(middle, len(dataset)))


def test_it_learns(trained: TrainedNetwork, phantoms: Dataset) -> None:
    assert evaluate(trained.network, phantoms.subset("test")).auc > 0.8
    assert trained.history.best_auc is not None
    assert trained.history.best_auc > 0.8
    assert trained.teacher is not None
    taught = trained.teacher.histories[0].best_auc
    assert taught is not None
    assert taught > 0.95


def test_module_and_program_agree(trained: TrainedNetwork, phantoms: Dataset) -> None:
    assert trained.disagreement == 0
    assert largest_difference(trained.module, trained.network, phantoms.images) < 1e-5


def test_the_front_end_and_the_names_are_kept(trained: TrainedNetwork, phantoms: Dataset) -> None:
    assert trained.network.name == "tiny"
    assert trained.network.front_end == Standardisation(8)
    assert trained.network.classes == phantoms.classes


def test_same_seed_same_integers_whatever_the_global_generator(few: Dataset) -> None:
    networks: list[Network] = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(networks))
        networks.append(train_network(TINY, *halves(few), dataclasses.replace(SHORT, seed=seed)).network)
    same = [np.array_equal(a, b) for a, b in zip(tensors(networks[0]), tensors(networks[1]), strict=True)]
    assert all(same)
    assert networks[0].boundaries == networks[1].boundaries
    assert networks[0].boundaries != networks[2].boundaries


def test_progress_hears_the_teacher_first_and_counts_on(few: Dataset) -> None:
    heard: list[tuple[int, int]] = []
    train_network(TINY, *halves(few), SHORT, progress=lambda epoch, epochs, *_: heard.append((epoch, epochs)))
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_without_distillation_there_is_no_teacher(few: Dataset, trained: TrainedNetwork) -> None:
    heard: list[tuple[int, int]] = []
    alone = train_network(
        TINY,
        *halves(few),
        dataclasses.replace(SHORT, distil=False),
        progress=lambda epoch, epochs, *_: heard.append((epoch, epochs)),
        teacher=trained.teacher,
    )
    assert alone.teacher is None
    assert heard == [(1, 2), (2, 2)]


def test_a_ready_teacher_is_used(few: Dataset, trained: TrainedNetwork) -> None:
    assert train_network(TINY, *halves(few), SHORT, teacher=trained.teacher).teacher is trained.teacher


def test_a_network_that_cannot_be_cut_is_refused_with_every_reason_before_training(
    few: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qat, "fit", lambda *_: pytest.fail("trained"))
    monkeypatch.setattr(qat, "train_teacher", lambda *_: pytest.fail("trained a teacher"))
    bad = Architecture(
        "bad",
        Standardisation(8),
        lambda classes: nn.Sequential(nn.Conv2d(1, 2, 2), nn.GroupNorm(1, 2), nn.Flatten(), nn.Linear(98, 2)),
    )
    with pytest.raises(NetworkError) as caught:
        train_network(bad, *halves(few), SHORT)
    assert len(caught.value.problems) >= 4


def test_shapes_that_do_not_fit_are_refused() -> None:
    bad = Architecture(
        "bad", Standardisation(8), lambda classes: nn.Sequential(input_grid(bits=2), nn.Flatten(), linear(9, 2, bits=2))
    )
    with pytest.raises(NetworkError, match="'bad' does not take inputs of shape") as caught:
        check_convertible(bad, ("a", "b"))
    assert "\n" not in str(caught.value)
    worse = Architecture(
        "worse", Standardisation(8), lambda classes: nn.Sequential(nn.Flatten(), qnn.QuantLinear(9, 2, bias=True))
    )
    with pytest.raises(NetworkError, match="does not begin with its input grid"):
        check_convertible(worse, ("a", "b"))


def test_an_untrained_network_has_the_integers_of_one_that_has_seen_the_pictures(few: Dataset) -> None:
    """Batch normalisation and scales are those of the pictures, or a design's price would be that of another network."""
    design = Design(Standardisation(8), 1, (ConvolutionDesign(3, 4, 2),), 6, False, "rectifier", False, 5, 5, 3, 4, 1.0)
    built: list[nn.Sequential] = []

    def build(classes: int) -> nn.Sequential:
        built.append(design.build(classes))
        return built[-1]

    inputs = 50 * Examples.of(few, Standardisation(8)).inputs[:, 0]
    check_convertible(Architecture("loud", Standardisation(8), build), ("a", "b"), inputs)
    grid, convolution, norm = (built[-1].get_submodule(name) for name in ("grid", "conv1", "norm1"))
    with torch.no_grad():
        seen = value_of(convolution(grid(inputs)))
    torch.testing.assert_close(norm.running_var, seen.var((0, 2, 3)), rtol=0.02, atol=0)
    torch.testing.assert_close(norm.running_mean, seen.mean((0, 2, 3)), rtol=0.02, atol=0.02)


def test_another_number_of_outputs_is_refused() -> None:
    stubborn = Architecture("stubborn", Standardisation(8), lambda classes: TINY.build(3))
    with pytest.raises(NetworkError, match=r"ends in shape \(3,\) for 2 classes"):
        check_convertible(stubborn, ("a", "b"))


def test_examples_of_another_front_end_or_number_of_views_are_refused(few: Dataset) -> None:
    train, validation = halves(few)
    other = dataclasses.replace(train, front_end=Standardisation(8, 0.5))
    with pytest.raises(NetworkError, match=r"went through Standardisation.*0\.5.* where network 'tiny' has Standardis"):
        train_network(TINY, other, validation, SHORT)
    with pytest.raises(SettingError, match="have 3 views where the settings say 24"):
        train_network(TINY, train, validation, TrainingSettings(epochs=1))


def test_sets_that_do_not_belong_together_are_refused(few: Dataset) -> None:
    same = Examples.of(few, TINY.front_end, views=3)
    with pytest.raises(DatasetError, match="patients, 'phantom-0-00000' the first, are in the training and"):
        train_network(TINY, same, same, SHORT)
    train, validation = halves(few)
    renamed = dataclasses.replace(validation, dataset=dataclasses.replace(validation.dataset, classes=("a", "b")))
    with pytest.raises(DatasetError, match="training set has the classes"):
        train_network(TINY, train, renamed, SHORT)
