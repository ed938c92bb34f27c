"""Recover a server segment by chosen queries, as a curious client could, and compare with the network.

The attacks see a `cryptml.exposure.oracles.Oracle` and what `cryptml.exposure.probes.Knowledge` says; the network is used only
afterwards, to count what was recovered. Values leave the oracle only for boundary inputs in range, as a client bundle allows them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryptml.errors import NetworkError, SettingError
from cryptml.exposure.guesses import Guess, additive, index_model, regression
from cryptml.exposure.oracles import BinnedOracle, ClearOracle, Oracle
from cryptml.exposure.probes import AffinePlan, Knowledge, Operator
from cryptml.networks.boundary import Boundary
from cryptml.networks.extent import IntArray
from cryptml.networks.layers import Activation, Convolution, Linear, run_all
from cryptml.networks.network import Network
from cryptml.networks.operations import NumpyOperations
from cryptml.networks.rounding.bins import Bins
from cryptml.splits import Segment

HELD_OUT = 256
"""Random inputs on which a guess is compared with the network; they are not the attacker's queries."""

CHUNK = 64
"""Unit inputs run at a time when composed maps are compared."""


@dataclass(frozen=True)
class Recovery:
    """How an attack on a segment ended.

    Attributes:
        queries: Chosen queries that it made.
        recovered_share: Integers recovered exactly, 0 to 1: of a single linear layer its weights and bias, of several the
            entries of their composed map (matrix and offset), of a lone activation the table entries that inputs reach.
            Only integers that some answer depends on are counted. None where an attack imitates without naming weights.
        exact: Whether what was recovered equals the segment, as it is defined in the clear, on every input in range: shown, not sampled.
        agreement: Outputs predicted exactly on held-out random inputs, 0 to 1.
        baseline: The same for always predicting each output's most frequent value.
        explained: Share of the outputs' variance on those inputs that the guess explains, at most 1; below 0 it is worse than
            each output's mean. For wide ranges, where equality is rare.
        seconds: Wall-clock time of queries and solving, without the comparison.
        method: What was done, one sentence.
    """

    queries: int
    recovered_share: float | None
    exact: bool
    agreement: float
    baseline: float
    explained: float
    seconds: float
    method: str

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class AffineGuess:
    """A recovered affine map: ``answer(x) = answer(base) + map(x - base)``.

    Attributes:
        plan: Made without weights.
        base: (1, *reads.shape) int64, the input that was moved.
        answer: (1, *writes.shape) int64, its answer.
        operator: The linear map on the plan's grid; None where the input cannot move or nothing is to be learned.
    """

    plan: AffinePlan
    base: IntArray
    answer: IntArray
    operator: Operator | None

    def predict(self, values: IntArray) -> IntArray:
        """Return (batch, *writes.shape) int64 for (batch, *reads.shape) integers."""
        if not self.plan.rest:
            return self.plan.pool(values)
        if self.operator is None:
            return np.repeat(self.answer, len(values), axis=0)
        return self.answer + self.operator.apply(self.plan.pool(values - self.base))


def recover_affine(known: Knowledge, oracle: Oracle) -> AffineGuess:
    """Solve a linear segment with exactly ``AffinePlan.queries`` queries.

    Args:
        known: All layers linear.
        oracle: Answers; each query stays within the boundary's range.
    """
    plan, reads = AffinePlan(known.reads.shape, known.layers), known.reads
    start, step = base_and_step(reads)
    base = np.full((1, *reads.shape), start, dtype=np.int64)
    if not plan.rest:
        return AffineGuess(plan, base, plan.pool(base), None)
    answer = oracle.query(base)
    if not step:
        return AffineGuess(plan, base, answer, None)
    responses = np.zeros((len(plan.probes), *known.writes.shape), dtype=np.int64)
    for index, probe in enumerate(plan.probes):
        moved = base.copy()
        moved.reshape(-1)[plan.cell_inputs[probe.cells]] += step
        responses[index] = (oracle.query(moved)[0] - answer[0]) * step
    return AffineGuess(plan, base, answer, plan.solve(responses))


def base_and_step(reads: Boundary) -> tuple[int, int]:
    """Return the value in range nearest 0, and 1 or -1, which keeps within the range; 0 where the range is one value."""
    base = min(max(0, reads.low), reads.high)
    return base, 1 if base < reads.high else -1 if base > reads.low else 0


def audit_segment(
    network: Network, segment: Segment, oracle: Oracle | None = None, budget: int = 2000, seed: int = 0
) -> Recovery:
    """Attack a segment and count what was recovered.

    A linear segment is attacked to its end, with the number of queries that `cryptml.exposure.facts` states; several
    linear layers are recovered as the one map that they compose, which answers like them, not one by one. A segment whose
    only non-linearity stands first is tabulated, where the budget suffices; linear layers in front of one activation are
    fitted; anything else is imitated by a regression.

    Args:
        network: Where the truth is counted; the attack itself sees what `Knowledge` says.
        segment: Which layers.
        oracle: Answers for this segment; the integer program in the clear if None.
        budget: Most queries to a non-linear segment, 16 or more.
        seed: Of all random queries.

    Raises:
        NetworkError: If the segment reaches past the last layer.
        SettingError: If the budget is below 16.
    """
    if budget < 16:
        raise SettingError(f"a budget of {budget} queries is too small for any attack here; use 16 or more")
    known = Knowledge.of(network, segment)
    oracle = oracle if oracle is not None else ClearOracle(network, segment)
    bins = network.entering_bins(segment)
    if bins is not None:
        oracle = BinnedOracle(oracle, bins, network.boundaries[segment.start])
    before, started = oracle.queries, time.perf_counter()
    guess: Guess | AffineGuess
    if known.linear:
        guess = recover_affine(known, oracle)
        method = _affine_method(guess)
    else:
        guess = _imitate(known, oracle, budget, np.random.default_rng(seed))
        method = guess.method
    seconds = time.perf_counter() - started
    predict = guess.predict if bins is None else _after(guess.predict, bins)
    agreement, baseline, explained = _compare(network, segment, predict, np.random.default_rng(seed + 1))
    share: float | None
    if isinstance(guess, AffineGuess):
        share = _affine_share(network, segment, guess)
        exact = share == 1
    else:
        share = _table_share(network, segment, guess)
        exact = guess.complete or _same_index_model(network, segment, guess)
    return Recovery(
        queries=oracle.queries - before,
        recovered_share=share,
        exact=exact and agreement == 1,
        agreement=agreement,
        baseline=baseline,
        explained=explained,
        seconds=seconds,
        method=method,
    )


def _after(predict: Callable[[IntArray], IntArray], bins: Bins) -> Callable[[IntArray], IntArray]:
    return lambda values: predict(bins.index(values))


def _imitate(known: Knowledge, oracle: Oracle, budget: int, random: np.random.Generator) -> Guess:
    guess = additive(known, oracle, budget) or index_model(known, oracle, budget, random)
    return guess or regression(known, oracle, budget, random)


def _affine_method(guess: AffineGuess) -> str:
    if not guess.plan.rest:
        return "nothing to learn: poolings are known from their public attributes"
    what = "integer weights and bias" if len(guess.plan.rest) == 1 else "composed map of several layers"
    how = "impulses on channels, far enough apart" if guess.plan.window is not None else "unit steps, an input each"
    return f"{what} from a base query and {how}"


def _compare(
    network: Network, segment: Segment, predict: Callable[[IntArray], IntArray], random: np.random.Generator
) -> tuple[float, float, float]:
    """Return agreement, baseline and explained variance on held-out inputs."""
    reads = network.boundaries[segment.start]
    values = random.integers(reads.low, reads.high, (HELD_OUT, *reads.shape), endpoint=True, dtype=np.int64)
    truth = network.run(values, segment).reshape(HELD_OUT, -1)
    guessed = predict(values).reshape(HELD_OUT, -1)
    ordered = np.sort(truth, axis=0)
    frequent = [np.unique(column, return_counts=True)[1].max() for column in ordered.T]
    left, all_of_it = ((truth - guessed) ** 2).sum(), ((truth - truth.mean(axis=0)) ** 2).sum()
    explained = 1 - left / all_of_it if all_of_it else float(left == 0)
    return float((guessed == truth).mean()), float(np.sum(frequent) / truth.size), float(explained)


def _affine_share(network: Network, segment: Segment, guess: AffineGuess) -> float:
    plan, operator = guess.plan, guess.operator
    layers = network.segment_layers(segment)
    if not plan.rest or operator is None:
        truth = network.run(guess.base, segment)
        return float((guess.predict(guess.base) == truth).mean())
    offset = guess.answer - operator.apply(plan.pool(guess.base))
    last = layers[-1]
    if len(plan.rest) == 1 and isinstance(last, Linear):
        return _share([(operator.weight, last.weight), (offset[0], last.bias)])
    if len(plan.rest) == 1 and isinstance(last, Convolution):
        weight, seen = _grouped(operator, last), _observable(plan, last)
        bias = np.broadcast_to(last.bias[:, None, None], offset[0].shape)
        spread = np.broadcast_to(seen, last.weight.shape)
        constant = (offset[0] == bias).all(axis=(1, 2))
        return _share([(weight[spread], last.weight[spread]), (constant.astype(np.int64), np.ones_like(last.bias))])
    rest = layers[len(plan.pools) :]
    # Affine layers are run outside their ranges here, which NumPy's integers allow; ranges matter to circuits only.
    extent = network.boundaries[segment.start + len(plan.pools)].extent()
    size = int(np.prod(plan.grid))
    zero = run_all(rest, np.zeros((1, *plan.grid), dtype=np.int64), extent, NumpyOperations())
    equal, total = int((offset == zero).sum()), zero.size
    for first in range(0, size, CHUNK):
        units = np.eye(size, dtype=np.int64)[first : first + CHUNK].reshape(-1, *plan.grid)
        truth = run_all(rest, units, extent, NumpyOperations()) - zero
        equal, total = equal + int((operator.apply(units) == truth).sum()), total + truth.size
    return equal / total


def _share(pairs: list[tuple[IntArray, IntArray]]) -> float:
    equal = sum(int((found == truth).sum()) for found, truth in pairs)
    return equal / sum(truth.size for _, truth in pairs)


def _grouped(operator: Operator, layer: Convolution) -> IntArray:
    """Return the recovered kernel in the layer's own shape, (out, in / groups, rows, columns)."""
    outputs, inputs = layer.weight.shape[:2]
    first = np.arange(outputs) // (outputs // layer.groups) * inputs
    return operator.weight[np.arange(outputs)[:, None], first[:, None] + np.arange(inputs)]


def _observable(plan: AffinePlan, layer: Convolution) -> IntArray:
    """Return (rows, columns) bool: the taps that ever meet an input rather than padding."""
    if plan.window is None:
        raise NetworkError(f"layer {layer.name!r} has no window; report this")
    seen = np.zeros(layer.weight.shape[2:], dtype=bool)
    rows, columns = (
        {t for p in range(plan.grid[axis + 1]) for t in plan.window.hits(axis, p, plan.writes[axis + 1]).values()}
        for axis in (0, 1)
    )
    seen[np.ix_(sorted(rows), sorted(columns))] = True
    return seen


def _table_share(network: Network, segment: Segment, guess: Guess) -> float | None:
    """Return the share of reachable table entries recovered of an activation with at most poolings behind it."""
    layer, reads = network.layers[segment.start], network.boundaries[segment.start]
    if guess.table is None or guess.kernel is not None or not isinstance(layer, Activation):
        return None
    asked = np.arange(reads.low, reads.high + 1)
    entries = layer.bins.index(asked)
    found = guess.table
    if network.entering_bins(segment) is not None:
        entries = np.unique(entries)
        found = found[:, entries - guess.first]
    reached = layer.bins.whole(layer.table)[:, entries]
    return _share([(found, np.broadcast_to(reached, found.shape))])


def _same_index_model(network: Network, segment: Segment, guess: Guess) -> bool:
    """Return whether a fitted kernel and table are the layer's own up to a factor, on every sum that can occur."""
    known = Knowledge.of(network, segment)
    index = next(i for i, layer in enumerate(known.layers) if not layer.linear)
    layers = network.segment_layers(segment)
    linear, activation = layers[:index], layers[index]
    plan = AffinePlan(known.reads.shape, known.layers[:index])
    if guess.kernel is None or guess.table is None or guess.found is None or not isinstance(activation, Activation):
        return False
    conv = linear[-1]
    if len(plan.rest) != 1 or not isinstance(conv, Convolution):
        return False
    operator = Operator(plan.window, guess.kernel, plan.writes)
    guessed = _grouped(operator, conv)
    grid = network.boundaries[segment.start + index - 1]
    low, high = (min(grid.low, 0), max(grid.high, 0)) if any(conv.padding) else (grid.low, grid.high)
    if plan.window is None or np.any(guess.kernel[~plan.window.connects]):
        return False
    for channel, (kernel, weight) in enumerate(zip(guessed, conv.weight, strict=True)):
        norm = int((kernel * kernel).sum())
        factor, remainder = divmod(int((kernel * weight).sum()), norm) if norm else (0, 0)
        if remainder or not np.array_equal(kernel * factor, weight):
            return False
        least = int((np.maximum(kernel, 0) * low + np.minimum(kernel, 0) * high).sum())
        most = int((np.maximum(kernel, 0) * high + np.minimum(kernel, 0) * low).sum())
        sums = np.arange(least, most + 1)
        table = activation.bins.whole(activation.table)[channel if len(activation.table) > 1 else 0]
        entries = activation.bins.index(sums * factor + int(conv.bias[channel]))
        place = sums - guess.first
        if place[0] < 0 or place[-1] >= guess.table.shape[1]:
            return False
        if not guess.found[channel, place].all() or not np.array_equal(guess.table[channel, place], table[entries]):
            return False
    return True
