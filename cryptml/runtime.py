"""Run a split: client segments here, server segments wherever the evaluator sends them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from cryptml.bundle import ClientBundle, ClientStep, ServerStep
from cryptml.errors import RangeError
from cryptml.networks.boundary import Boundary, FloatArray
from cryptml.networks.extent import IntArray
from cryptml.networks.network import Network, probabilities


@dataclass
class Timings:
    """Wall-clock milliseconds of one prediction, by stage, in the order in which the stages ran."""

    stages: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, started: float) -> None:
        """Add the time since ``started`` (of `time.perf_counter`) to a stage."""
        self.stages[stage] = self.stages.get(stage, 0.0) + (time.perf_counter() - started) * 1000

    @property
    def total(self) -> float:
        """Sum of all stages."""
        return sum(self.stages.values())


class SegmentEvaluator(Protocol):
    """Something that evaluates server segments: encrypted over HTTP, or in the clear for tests."""

    def evaluate(self, step: ServerStep, values: IntArray, timings: Timings) -> IntArray:
        """Return (1, *writes.shape) integers for (1, *reads.shape) integers, adding its stages to ``timings``."""
        ...


@dataclass(frozen=True)
class ClearEvaluator:
    """Evaluates server segments on the integer program in the clear: the expectation of every encrypted run.

    Attributes:
        network: Holds all weights, so only a provider or a test can have one.
    """

    network: Network

    def evaluate(self, step: ServerStep, values: IntArray, timings: Timings) -> IntArray:
        """See `SegmentEvaluator.evaluate`."""
        started = time.perf_counter()
        result = self.network.run(values, step.circuit.segment)
        timings.add("server_clear", started)
        return result


@dataclass(frozen=True, eq=False)
class Answer:
    """What a client learns about one region.

    Attributes:
        integers: (classes,) int64 at the last boundary: what equality with the clear network is judged by.
        logits: (classes,) float32.
        probabilities: (classes,) float32, their softmax.
        label: Name of the most probable class.
        timings: Of this prediction.
    """

    integers: IntArray
    logits: FloatArray
    probabilities: FloatArray
    label: str
    timings: Timings


def run_split(bundle: ClientBundle, region: FloatArray, evaluator: SegmentEvaluator) -> Answer:
    """Run every segment of a bundle's split on one region.

    Every segment is asked for, whatever the picture shows and whatever was decrypted before: a service that saw which of its answers make a
    client stop could send altered ones and learn the secret key bit by bit (a reaction attack), and one whose bundle takes a narrow range
    could learn of the picture whether it lies in it. So values that cannot be are put in place by others, and the error comes at the end.

    Args:
        bundle: The client's half.
        region: (side, side) float32 in [0, 1].
        evaluator: Runs the server segments.

    Raises:
        RangeError: If a decrypted answer cannot be, the first of them.
        CryptmlError: If the region, the bundle and the evaluator do not fit, or the evaluator fails.
    """
    timings = Timings()
    impossible: RangeError | None = None
    started = time.perf_counter()
    values = bundle.first.quantise(bundle.front_end.apply(region[None]))
    timings.add("quantise", started)
    for step in bundle.steps:
        reads = step.reads if isinstance(step, ClientStep) else step.circuit.reads
        violation = reads.describe_violation(values)
        if violation and values.shape[1:] == reads.shape:
            impossible = impossible or RangeError(
                f"a step of the split is handed {violation}: the picture lies far from what the network was calibrated for, or the "
                "bundle's halves do not fit; look at the picture"
            )
            values = _lowest(reads)
        if isinstance(step, ClientStep):
            started = time.perf_counter()
            values = step.run(values)
            timings.add("client_layers", started)
            continue
        try:
            values = evaluator.evaluate(step, values, timings)
        except RangeError as error:
            impossible = impossible or error
            values = _lowest(step.circuit.writes)
    if impossible is not None:
        raise impossible
    logits = bundle.last.dequantise(values)
    chances = probabilities(logits)
    return Answer(values[0], logits[0], chances[0], bundle.classes[int(np.argmax(chances[0]))], timings)


def _lowest(boundary: Boundary) -> IntArray:
    """Return a tensor that any boundary may hold, in place of one that it may not."""
    return np.full((1, *boundary.shape), boundary.low, np.int64)
