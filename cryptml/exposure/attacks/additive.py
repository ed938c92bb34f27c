"""Equation solving on one-hot inputs: exact where a segment is a sum of functions of single inputs."""

from __future__ import annotations

import math

import numpy as np

from cryptml.exposure.attacks.pooling import pooled
from cryptml.exposure.knowledge import Knowledge, PublicLayer
from cryptml.exposure.probes import AffinePlan
from cryptml.exposure.surrogate import Answers, Surrogate
from cryptml.networks.bins import Bins
from cryptml.networks.extent import IntArray
from cryptml.networks.operations import NumpyOperations


def additive(known: Knowledge, oracle: Answers, budget: int) -> Surrogate | None:
    """Tabulate a segment whose only non-linearity is its first layer; None where it is another, or the budget too small.

    With no or only pooling layers behind it, one query for each value of the range fills every channel's table. With linear
    layers behind it, an answer is a sum of functions of single inputs: one input of a channel is led through the range,
    each further one needs a single query, because functions of one channel are multiples of each other.
    """
    activation, *behind = known.layers
    if activation.kind != "activation" or known.activations != 1:
        return None
    low, high = known.reads.low, known.reads.high
    if all(layer.kind == "pooling" for layer in behind):
        return _tabulate(known, behind, oracle) if high - low < budget else None
    plan = AffinePlan(activation.writes, tuple(behind))
    base = np.full((1, *known.reads.shape), low, dtype=np.int64)
    spent, answer = 1, oracle.query(base)
    steps = high - low
    effects = np.zeros((steps, len(plan.probes), *known.writes.shape), dtype=np.int64)
    shapes: dict[int, IntArray] = {}  # of a channel: (steps,) integers proportional to its table, less its first entry

    def ask(cells: IntArray, value: int) -> IntArray:
        moved = base.copy()
        moved.reshape(-1)[plan.cell_inputs[cells]] = value
        return oracle.query(moved)[0] - answer[0]

    for index, probe in enumerate(plan.probes):
        shape = shapes.get(probe.channels[0]) if len(probe.channels) == 1 else None
        cost = steps if shape is None else int(shape.any())
        if spent + cost > budget:
            return None
        spent += cost
        if shape is None:
            effects[:, index] = [ask(probe.cells, low + step) for step in range(1, steps + 1)]
            flat = effects[:, index].reshape(steps, -1)
            column = flat[:, np.abs(flat).max(axis=0).argmax()] if steps else flat[:, 0]
            if len(probe.channels) == 1 and column.any():
                shapes[probe.channels[0]] = column
        elif shape.any():
            at = int(np.abs(shape).argmax())
            effects[:, index] = np.multiply.outer(shape, ask(probe.cells, low + 1 + at)) // shape[at]
    operators = [plan.solve(effect) for effect in effects]

    def predict(values: IntArray) -> IntArray:
        result = np.repeat(answer, len(values), axis=0)
        for step, operator in enumerate(operators, 1):
            result = result + operator.apply(plan.pool((values == low + step).astype(np.int64)))
        return result

    return Surrogate(predict, "answers are sums of functions of single inputs: each tabulated", complete=True)


def additive_queries(known: Knowledge) -> int | None:
    """Return how many queries `additive` needs at most, None where it does not apply."""
    activation, *behind = known.layers
    if activation.kind != "activation" or known.activations != 1:
        return None
    steps = known.reads.high - known.reads.low
    if all(layer.kind == "pooling" for layer in behind):
        return steps + 1
    # A channel's further inputs need one query each once its table is seen, but unused inputs may show nothing of it first.
    return 1 + steps * len(AffinePlan(activation.writes, tuple(behind)).probes)


def _tabulate(known: Knowledge, behind: list[PublicLayer], oracle: Answers) -> Surrogate:
    low, high = known.reads.low, known.reads.high
    windows = math.prod(math.prod(layer.kernel) for layer in behind)
    answers = [
        oracle.query(np.full((1, *known.reads.shape), value, dtype=np.int64))[0] for value in range(low, high + 1)
    ]
    channels = known.reads.shape[0]
    table = np.stack([answer.reshape(channels, -1)[:, 0] for answer in answers], axis=1) // windows

    def predict(values: IntArray) -> IntArray:
        return pooled(NumpyOperations().look_up(values, table, Bins(low, table.shape[1])), behind)

    method = "all inputs at one value, a query for each value: the tables"
    return Surrogate(predict, method, True, table, low, np.ones(table.shape, dtype=bool))
