"""Where a head begins: at a linear model, whose loss has one minimum, so that training begins at what such a model knows."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor, nn

from cryptml.errors import NetworkError
from cryptml.networks.modules.negacyclic import HALF_PERIOD, NegacyclicActivation
from cryptml.training.evaluation.feature_baselines import MOST_ROWS, chosen_strength, regression
from cryptml.training.examples import Examples
from cryptml.training.teachers.against_rest import Sums, fit_against_rest

VIEWS = 5
"""Of every picture, that the regression learns from: the picture itself among them."""

PASSES = 3
"""Over all of these, in which grids and tables find their ranges."""


MOST_QUANTILE = 1_000_000
"""Sums of which ranges are taken."""

MARGIN = 1.05
"""Of the range of several classes' sums that their tables cover: what lies beyond is read with the opposite sign."""

SEEN_SHARE = 1e-5
"""Of the sums, at either end, that may lie beyond."""

TEMPERATURES = tuple(2.0**exponent for exponent in range(8))
"""Of which one makes logits of several classes' sums, which lie between -1 and 1 and a little beyond."""


def begin_linear(module: nn.Sequential, train: Examples) -> None:
    """Give the first layer with weights those of a linear model, and the tables behind it the straight lines that make it whole; in place.

    Every neuron votes for one class and falls where its sum rises, so its weights are those of the class with the opposite sign. Of two
    classes the model is a logistic regression, whose strength is chosen by inner folds per patient
    (`cryptml.training.evaluation.feature_baselines`); of several, `fit_against_rest`. Several neurons of one class read the same sum, and
    their tables' entries begin parts of an entry apart: together they have as many times more steps.

    Args:
        module: Untrained: a grid, a linear layer, a `NegacyclicActivation`, a quantiser, and votes, as `linear_head` and
            `negacyclic_head` make them.
        train: What it will learn from; every class occurs.

    Raises:
        NetworkError: If the module is none of these.
    """
    linear, table = _first_layers(module)
    views = min(VIEWS, train.inputs.shape[1])
    rows = train.inputs[:, :VIEWS].flatten(0, 1).flatten(1)
    neurons, classes = len(linear.weight), train.classes
    voted = np.arange(neurons) * classes // neurons
    of_class = np.bincount(voted, minlength=classes)[voted]
    if classes == 2:
        sums = _of_two(rows, train, views)
    else:
        labels = train.labels.repeat_interleave(views)
        sums = fit_against_rest(rows, labels, classes, torch.arange(len(train.labels)).repeat_interleave(views))
    if neurons == 1:  # one sum tells two classes apart, and falls for the second of them
        sums = Sums(2 * sums.weights[:1], 2 * sums.offsets[:1])
    with torch.no_grad():
        linear.weight.copy_(-sums.weights[voted])
        module.train()
        for _ in range(PASSES):
            module(rows)
        offsets = sums.offsets[voted]
        if classes == 2:
            half_period, middle, loudness = table.grid()[1] * 2**table.bits, torch.zeros(neurons), 1.0
        else:
            found = sums.of(rows)
            low, high = (
                float(torch.quantile(found[:MOST_QUANTILE].flatten(), q)) for q in (SEEN_SHARE, 1 - SEEN_SHARE)
            )
            half_period = torch.full((neurons,), MARGIN * (high - low))
            middle = torch.full((neurons,), (low + high) / 2)
            loudness = _temperature(found, labels)
            table.narrowing.copy_((HALF_PERIOD * table.variance.sqrt() / half_period).log())
        within = torch.from_numpy(np.arange(neurons) - np.searchsorted(voted, voted))
        apart = (within - (torch.from_numpy(of_class) - 1) / 2) / torch.from_numpy(of_class) / 2**table.bits
        table.phase.copy_(0.5 - (offsets - middle - table.mean) / half_period + apart)
        table.loudness.copy_(loudness * half_period / 2 / torch.from_numpy(of_class))


def _of_two(rows: Tensor, train: Examples, views: int) -> Sums:
    """Return a logistic regression of two classes, half of its logit for each with the opposite sign."""
    some = np.sort(np.random.default_rng(0).permutation(len(train.labels))[:MOST_ROWS])
    strength = chosen_strength(train.inputs[some, 0].flatten(1).numpy(), train.dataset.take(some))
    labels = np.repeat(train.labels.numpy(), views)
    scaler, model = (step for _, step in regression(strength).fit(rows.numpy(), labels).steps)
    weights = model.coef_ / scaler.scale_
    offsets = model.intercept_ - weights @ scaler.mean_
    both = (np.concatenate([-each / 2, each / 2]) for each in (weights, offsets))
    return Sums(*(torch.from_numpy(each).to(torch.float32) for each in both))


def _temperature(sums: Tensor, labels: Tensor) -> float:
    """Return what sums are multiplied by to be logits, by the least cross-entropy."""
    losses = [float(nn.functional.cross_entropy(each * sums, labels)) for each in TEMPERATURES]
    return TEMPERATURES[int(np.argmin(losses))]


def _first_layers(module: nn.Sequential) -> tuple[nn.Linear, NegacyclicActivation]:
    layers = list(module)
    for before, behind in itertools.pairwise(layers):
        if isinstance(before, nn.Linear) and isinstance(behind, NegacyclicActivation):
            return before, behind
    raise NetworkError(
        "a network without a linear layer and a negacyclic activation behind it cannot begin as a regression; let it begin at random"
    )
