"""Heads that begin as a linear model know what it knows before they are trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cryptml.datasets.base import Dataset
from cryptml.errors import NetworkError
from cryptml.networks.architectures.head import linear_head
from cryptml.networks.architectures.registry import Architecture, load_architecture
from cryptml.networks.front_ends import Scattering
from cryptml.training import Examples, predict_program, train_network
from cryptml.training.evaluation.feature_baselines import chosen_strength, regression
from cryptml.training.evaluation.measures import evaluate_probabilities
from cryptml.training.recipes import recipe
from cryptml.training.teachers.against_rest import fit_against_rest
from cryptml.training.teachers.linear_start import begin_linear

FRONT_END = Scattering(10, octaves=2, directions=4)
ARCHITECTURE = Architecture("line", FRONT_END, lambda classes: linear_head(FRONT_END.shape[0], classes))


@pytest.fixture(scope="module")
def examples(phantoms: Dataset) -> Examples:
    few = phantoms.take(range(400))
    wide = np.pad(few.images, ((0, 0), (1, 1), (1, 1)), mode="reflect")
    return Examples.of(replace(few, images=wide), FRONT_END)


def test_one_table_orders_pictures_as_the_regression_does(examples: Examples) -> None:
    settings = replace(recipe(load_architecture("line")), views=1, epochs=2)
    trained = train_network(ARCHITECTURE, examples, None, settings)
    rows, dataset = examples.inputs[:, 0].numpy(), examples.dataset
    plain = regression(chosen_strength(rows, dataset)).fit(rows, dataset.labels).predict_proba(rows)
    ours = predict_program(trained.network, examples.inputs[:, 0])
    areas = [evaluate_probabilities(each.astype(np.float32), dataset).auc for each in (ours, plain)]
    assert areas[0] > areas[1] - 0.02
    assert areas[0] > 0.8
    # A table of 32 entries steps by 7 / 32 of a deviation: probabilities follow the regression's.
    assert np.abs(ours - plain).mean() < 0.05


@pytest.fixture(scope="module")
def four(examples: Examples) -> Examples:
    """Four classes that values tell apart, but for a little noise."""
    random = np.random.default_rng(2)
    dataset = examples.dataset
    labels = random.integers(0, 4, len(dataset))
    values = FRONT_END.shape[0]
    centres = 3 * random.normal(size=(4, values))
    inputs = centres[labels] + random.normal(size=(len(dataset), values))
    named = replace(dataset, labels=labels.astype(np.int64), classes=("a", "b", "c", "d"), positive=None)
    made = Examples.of(named, FRONT_END)
    return replace(made, inputs=torch.from_numpy(inputs[:, None]).to(torch.float32))


def begun(four: Examples, bits: int, tables: int) -> np.ndarray:
    """Logits of a head at its beginning, once its quantisers have seen enough."""
    module = linear_head(FRONT_END.shape[0], 4, bits, tables)
    begin_linear(module, four)
    module.train()
    with torch.no_grad():
        for _ in range(320):
            module(four.inputs[:, 0])
        module.eval()
        found = module(four.inputs[:, 0])
    return np.asarray(getattr(found, "value", found))


@pytest.mark.parametrize(("bits", "tables"), [(5, 1), (4, 1), (4, 2), (3, 2)])
def test_every_class_of_several_has_its_own_sum(four: Examples, bits: int, tables: int) -> None:
    assert (begun(four, bits, tables).argmax(axis=1) == four.labels.numpy()).mean() > 0.97


def test_two_tables_of_a_sum_have_twice_the_steps_of_one(four: Examples) -> None:
    one, two = (np.mean([len(np.unique(np.round(each, 4))) for each in begun(four, 3, n).T]) for n in (1, 2))
    assert one <= 2**3
    assert two >= 1.5 * one


def test_sums_against_the_rest_tell_classes_apart_however_rare() -> None:
    random = np.random.default_rng(0)
    labels = torch.from_numpy(np.repeat([0, 1, 2], [300, 300, 12]))
    rows = torch.from_numpy(random.normal(size=(612, 5)).astype(np.float32))
    rows[:, 3] = 7.0  # says nothing
    rows[torch.arange(612), labels] += 8
    groups = torch.arange(306).repeat_interleave(2)
    sums = fit_against_rest(rows, labels, 3, groups)
    found = sums.of(rows)
    assert (found.argmax(1) == labels).all()
    assert float(found[torch.arange(612), labels].min()) > 0
    assert torch.isfinite(sums.weights).all()


def test_what_is_no_head_is_refused(examples: Examples) -> None:
    with pytest.raises(NetworkError, match="cannot begin as a regression; let it begin at random"):
        begin_linear(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), examples)
