"""Where a head begins: at a logistic regression, whose loss has one minimum, so that training begins at what a linear model knows."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import nn

from cryptml.errors import NetworkError
from cryptml.networks.modules.negacyclic import NegacyclicActivation
from cryptml.training.evaluation.feature_baselines import MOST_ROWS, chosen_strength, regression
from cryptml.training.examples import Examples

VIEWS = 5
"""Of every picture, that the regression learns from: the picture itself among them."""

PASSES = 3
"""Over all of these, in which grids and tables find their ranges."""


def begin_linear(module: nn.Sequential, train: Examples) -> None:
    """Give the first layer with weights those of a regression, and the tables behind it the straight lines that make it whole; in place.

    Every neuron votes for one class and falls where its sum rises, so its weights are those of the class with the opposite sign.
    The regression's strength is chosen by inner folds per patient (`cryptml.training.evaluation.feature_baselines`).

    Args:
        module: Untrained: a grid, a linear layer, a `NegacyclicActivation`, a quantiser, and votes, as `linear_head` and
            `negacyclic_head` make them.
        train: What it will learn from; every class occurs.

    Raises:
        NetworkError: If the module is none of these.
    """
    linear, table = _first_layers(module)
    rows = train.inputs[:, :VIEWS].flatten(0, 1).flatten(1)
    labels = np.repeat(train.labels.numpy(), min(VIEWS, train.inputs.shape[1]))
    some = np.sort(np.random.default_rng(0).permutation(len(train.labels))[:MOST_ROWS])
    strength = chosen_strength(train.inputs[some, 0].flatten(1).numpy(), train.dataset.take(some))
    scaler, model = (step for _, step in regression(strength).fit(rows.numpy(), labels).steps)
    weights = model.coef_ / scaler.scale_
    offsets = model.intercept_ - weights @ scaler.mean_
    neurons, classes = len(linear.weight), train.classes
    if classes == 2:
        share = 1.0 if neurons == 1 else 0.5
        weights, offsets = (np.concatenate([-share * each, share * each]) for each in (weights, offsets))
    voted = np.arange(neurons) * classes // neurons
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(-weights[voted]))
        module.train()
        for _ in range(PASSES):
            module(rows)
        half_period = table.grid()[1] * 2**table.bits
        zero = torch.from_numpy(offsets[voted]).to(torch.float32)
        table.phase.copy_(0.5 - (zero - table.mean) / half_period)
        table.loudness.copy_(half_period / 2 / torch.from_numpy(np.bincount(voted, minlength=classes)[voted]))


def _first_layers(module: nn.Sequential) -> tuple[nn.Linear, NegacyclicActivation]:
    layers = list(module)
    for before, behind in itertools.pairwise(layers):
        if isinstance(before, nn.Linear) and isinstance(behind, NegacyclicActivation):
            return before, behind
    raise NetworkError(
        "a network without a linear layer and a negacyclic activation behind it cannot begin as a regression; let it begin at random"
    )
