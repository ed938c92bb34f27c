"""Heads that begin as a logistic regression know what it knows before they are trained."""

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


def test_every_class_of_several_has_its_own_sum(examples: Examples) -> None:
    dataset = examples.dataset
    labels = dataset.labels + (np.arange(len(dataset)) % 4 == 0)
    three = replace(dataset, labels=labels, classes=("a", "b", "c"), positive=None)
    made = Examples.of(three, FRONT_END)
    module = ARCHITECTURE.build(3)
    begin_linear(module, made)
    module.eval()
    with torch.no_grad():
        found = module(made.inputs[:, 0])
    logits = getattr(found, "value", found).numpy()
    rows = made.inputs[:, 0].numpy()
    model = regression(chosen_strength(rows, three)).fit(rows, labels)
    assert (logits.argmax(axis=1) == model.predict(rows)).mean() > 0.75  # a third of the labels is noise


def test_what_is_no_head_is_refused(examples: Examples) -> None:
    with pytest.raises(NetworkError, match="cannot begin as a regression; let it begin at random"):
        begin_linear(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), examples)
