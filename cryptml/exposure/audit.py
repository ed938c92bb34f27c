"""Recover a server segment by chosen queries, as a curious client could, and compare with the network.

The attacks see a `cryptml.exposure.oracles.Oracle` and what `cryptml.exposure.knowledge.Knowledge` says; the network is used only
afterwards, to count what was recovered. Values leave the oracle only for boundary inputs in range, as a client bundle allows them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryptml.errors import SettingError
from cryptml.exposure.attacks.additive import additive
from cryptml.exposure.attacks.affine import AffineSurrogate, recover_affine
from cryptml.exposure.attacks.index_model import index_model
from cryptml.exposure.attacks.regression import regression
from cryptml.exposure.knowledge import Knowledge
from cryptml.exposure.oracles import BinnedOracle, ClearOracle, Oracle
from cryptml.exposure.recovery import affine_share, same_index_model, table_share
from cryptml.exposure.surrogate import Surrogate
from cryptml.networks.bins import Bins
from cryptml.networks.extent import IntArray
from cryptml.networks.network import Network
from cryptml.splits import Segment

HELD_OUT = 256
"""Random inputs on which a surrogate is compared with the network; they are not the attacker's queries."""


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
        explained: Share of the outputs' variance on those inputs that the surrogate explains, at most 1; below 0 it is worse than
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
    surrogate: Surrogate | AffineSurrogate
    if known.linear:
        surrogate = recover_affine(known, oracle)
        method = _affine_method(surrogate)
    else:
        surrogate = _imitate(known, oracle, budget, np.random.default_rng(seed))
        method = surrogate.method
    seconds = time.perf_counter() - started
    predict = surrogate.predict if bins is None else _after(surrogate.predict, bins)
    agreement, baseline, explained = _compare(network, segment, predict, np.random.default_rng(seed + 1))
    share: float | None
    if isinstance(surrogate, AffineSurrogate):
        share = affine_share(network, segment, surrogate)
        exact = share == 1
    else:
        share = table_share(network, segment, surrogate)
        exact = surrogate.complete or same_index_model(network, segment, surrogate)
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


def _imitate(known: Knowledge, oracle: Oracle, budget: int, random: np.random.Generator) -> Surrogate:
    surrogate = additive(known, oracle, budget) or index_model(known, oracle, budget, random)
    return surrogate or regression(known, oracle, budget, random)


def _affine_method(surrogate: AffineSurrogate) -> str:
    if not surrogate.plan.rest:
        return "nothing to learn: poolings are known from their public attributes"
    what = "integer weights and bias" if len(surrogate.plan.rest) == 1 else "composed map of several layers"
    how = "impulses on channels, far enough apart" if surrogate.plan.window is not None else "unit steps, an input each"
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
