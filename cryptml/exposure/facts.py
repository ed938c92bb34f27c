"""What a split exposes: counts and published facts, no judgement and no score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from cryptml.exposure.attacks.additive import additive_queries
from cryptml.exposure.attacks.weighted_sum import weighted_sum_queries
from cryptml.exposure.knowledge import Knowledge
from cryptml.exposure.probes import AffinePlan
from cryptml.networks.network import Network
from cryptml.splits import Segment, Side, Split

PUBLIC = "Holds no learned integer: the layers' public attributes say what it computes."
LINEAR = "Linear: solving a linear system by chosen queries recovers it exactly (Tramèr et al., USENIX Security 2016)."
ADDITIVE = (
    "One non-linearity, on the inputs themselves: every answer is a sum of functions of single inputs, so chosen queries "
    "tabulate it exactly (equation solving as in Tramèr et al., USENIX Security 2016)."
)
ONE = (
    "One non-linearity: published attacks need thousands to millions of queries (Tramèr et al., USENIX Security 2016; "
    "Carlini, Jagielski, Mironov, CRYPTO 2020), a layer of few bits may need fewer: split-profiler audit tries."
)
WEIGHTED_SUM = (
    "A weighted sum for each table, and no more tables than answers: binary search for a table's edges along every input finds its "
    "sum with about inputs x bits queries (Lowd and Meek, Adversarial learning, KDD 2005)."
)
ATTACKED = "The attack of split-profiler audit, run on the network's own arithmetic, recovered it exactly with {queries:,} queries."
SEVERAL = (
    "{count} non-linearities: published attacks need thousands to millions of queries (Tramèr et al., USENIX Security 2016; "
    "Carlini, Jagielski, Mironov, CRYPTO 2020); no bound for such a segment is known to us."
)


@dataclass(frozen=True)
class SegmentExposure:
    """What is known about attacks on a segment, were it a server segment.

    Attributes:
        linear: Whether it is an affine map.
        parameters: Learned integers in it: weights, biases, table entries.
        inputs: Values that the client chooses and encrypts.
        outputs: Values that the client decrypts.
        queries: Chosen queries after which `cryptml.exposure.audit` has recovered the segment exactly: their number where it is
            linear (0 where it holds nothing to learn); at most so many where its one non-linearity comes first; about so many
            by a published attack where no more tables than answers read a weighted sum each; as many as an attack needed that was run and
            succeeded. None where no such number is known.
        attack: One sentence with its source.
    """

    linear: bool
    parameters: int
    inputs: int
    outputs: int
    queries: int | None
    attack: str

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON values."""
        return asdict(self)

    def attacked(self, queries: int) -> SegmentExposure:
        """Return the facts once an attack has recovered the segment exactly with some queries."""
        if self.queries is not None and self.queries <= queries:
            return self
        return replace(self, queries=queries, attack=ATTACKED.format(queries=queries))


@dataclass(frozen=True)
class SplitExposure:
    """What a whole split exposes to the client, and how often it errs.

    Attributes:
        client_parameters: Learned integers of client layers, which the client holds in the clear.
        client_parameter_share: Those among all, 0 to 1.
        recoverable_parameters: Learned integers of server segments that a known number of queries recovers.
        decrypted_boundaries: Boundaries that the client decrypts: one for each server segment.
        queries: The fewest queries among those segments; None without one.
        failure_probability: That one whole prediction holds a wrong bootstrap, at most: 1 - (1 - p_error)^bootstraps.
    """

    client_parameters: int
    client_parameter_share: float
    recoverable_parameters: int
    decrypted_boundaries: int
    queries: int | None
    failure_probability: float

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON values."""
        return asdict(self)


def segment_exposure(network: Network, segment: Segment) -> SegmentExposure:
    """Return the facts about a segment.

    Raises:
        NetworkError: If it reaches past the last layer.
    """
    known = Knowledge.of(network, segment)
    if known.linear:
        queries: int | None = AffinePlan(known.reads.shape, known.layers).queries(known.reads.low, known.reads.high)
    else:
        queries = additive_queries(known) or weighted_sum_queries(known)
    parameters = sum(layer.parameters for layer in network.segment_layers(segment))
    return SegmentExposure(
        linear=known.linear,
        parameters=parameters,
        inputs=known.reads.size,
        outputs=known.writes.size,
        queries=queries,
        attack=_attack(known, queries),
    )


def _attack(known: Knowledge, queries: int | None) -> str:
    if known.linear:
        return LINEAR if queries else PUBLIC
    if known.activations == 1:
        if known.layers[0].kind == "activation":
            return ADDITIVE
        return ONE if queries is None else WEIGHTED_SUM
    return SEVERAL.format(count=known.activations)


def split_exposure(
    split: Split,
    segments: Mapping[Segment, SegmentExposure],
    layer_parameters: Sequence[int],
    bootstraps: Mapping[Segment, int],
    p_error: float,
) -> SplitExposure:
    """Add up the facts of a split.

    Args:
        split: Who runs what.
        segments: The facts of its server segments at least.
        layer_parameters: Learned integers of each layer of the network.
        bootstraps: Programmable bootstraps of its server segments at least, for one input.
        p_error: Probability that one bootstrap fails, in [0, 1).

    Raises:
        SplitError: If the split has another number of layers.
    """
    split.require_length(len(layer_parameters))
    own = sum(count for side, count in zip(split.sides, layer_parameters, strict=True) if side is Side.CLIENT)
    total = sum(layer_parameters)
    facts = [segments[segment] for segment in split.server_segments]
    lost = [each for each in facts if each.queries is not None and each.parameters]
    evaluated = sum(bootstraps[segment] for segment in split.server_segments)
    return SplitExposure(
        client_parameters=own,
        client_parameter_share=own / total if total else 0.0,
        recoverable_parameters=sum(each.parameters for each in lost),
        decrypted_boundaries=len(split.server_segments),
        queries=min((each.queries for each in lost if each.queries is not None), default=None),
        failure_probability=-math.expm1(evaluated * math.log1p(-p_error)),
    )


def insecure_layers(
    names: Sequence[str], split: Split, segments: Mapping[Segment, SegmentExposure], queries: int
) -> dict[str, str]:
    """Return the layers whose weights, or what they amount to together, a client learns, each with the reason.

    Only what is certain is in it: a layer that is missing here is not thereby secret.

    Args:
        names: Of the network's layers, in order.
        split: Who runs what.
        segments: The facts of its server segments at least.
        queries: How many a client may make.

    Raises:
        SplitError: If the split has another number of layers.
    """
    split.require_length(len(names))
    found: dict[str, str] = {}
    for side, segment in split.segments:
        if side is Side.CLIENT:
            reason = "the client holds it in the clear"
        else:
            facts = segments[segment]
            if facts.queries is None or facts.queries > queries:
                continue
            reason = f"{facts.queries:,} queries recover segment {segment}"
            if facts.queries == 0:
                reason = f"segment {segment} holds nothing to learn"
        found.update(dict.fromkeys(names[segment.start : segment.stop], reason))
    return found
