"""What encryption changes of a network's answers, simulated on a whole data set: rounding, and inputs out of range."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from cryptml.networks.boundary import FloatArray
from cryptml.networks.extent import IntArray
from cryptml.networks.layers import run_all
from cryptml.networks.network import Network, probabilities
from cryptml.networks.rounding.clamping import Clamping, measure_clamping
from cryptml.networks.rounding.noise import NoisyOperations
from cryptml.splits import Segment
from cryptml.training.evaluation.auc import RocAuc

REPEATS = 20
"""Simulated evaluations of every picture."""

SEED = 0
"""Of the simulated noise."""


@dataclass(frozen=True)
class Rounding:
    """Encrypted answers against those in the clear, where the server begins with the layer before a rounding table.

    Attributes:
        layer: The first layer whose rounding is approximate; a server that begins with it rounds exactly, for its client does it.
        same_label: Share of simulated answers with the label of the clear one, 0 to 1.
        auc_change: Mean difference, either way, between the AUC of a simulated run over all pictures and the clear one.
        auc_worst: The largest of them.
    """

    layer: str
    same_label: float
    auc_change: float
    auc_worst: float


@dataclass(frozen=True)
class Fidelity:
    """Encrypted answers against those in the clear.

    Attributes:
        p_error: Of one lookup, which says how much noise there is.
        rounding: One for each rounding table, from the layer before it on; the first is also that of all layers on the server. None
            where nothing is rounded: answers are equal then, but for the range.
        clipped: Share of the front end's values that its grid cuts off, 0 to 1.
        clamping: What leaves its calibrated range in front of each layer with tables.
    """

    p_error: float
    rounding: tuple[Rounding, ...]
    clipped: float
    clamping: tuple[Clamping, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "p_error": self.p_error,
            "rounding": [dataclasses.asdict(each) for each in self.rounding],
            "clipped": self.clipped,
            "clamping": [each.to_json() for each in self.clamping],
        }


def measure_fidelity(network: Network, inputs: Tensor, labels: IntArray, p_error: float) -> Fidelity:
    """Simulate encrypted evaluations of pictures, every class among them.

    Args:
        network: Any.
        inputs: (n, *front_end.shape) float32, behind the front end.
        labels: (n,) int64.
        p_error: Of one lookup.
    """
    first = network.boundaries[0]
    values = first.quantise(inputs.numpy())
    return Fidelity(
        p_error=p_error,
        rounding=tuple(_simulate(network, values, labels, p_error, place) for place in rounding_places(network)),
        clipped=first.clipped_share(inputs.numpy()),
        clamping=measure_clamping(network, values),
    )


def rounding_places(network: Network) -> list[int]:
    """Return which layers round within a circuit; where a network begins with a table, its client rounds, exactly."""
    return [place for place, layer in enumerate(network.layers) if layer.rounds and place]


def _simulate(network: Network, values: IntArray, labels: IntArray, p_error: float, place: int) -> Rounding:
    """Compare answers with the server from the layer before ``place`` on."""
    clear = probabilities(network.boundaries[-1].dequantise(network.run(values)))
    positive = None if network.positive_class is None else network.classes.index(network.positive_class)
    noisy = simulate_evaluations(network, values, p_error, start=place - 1)
    return compare_answers(network.layers[place].name, clear, noisy, labels, positive)


def simulate_evaluations(network: Network, values: IntArray, p_error: float, *, start: int = 0) -> FloatArray:
    """Return what `REPEATS` encrypted evaluations of every picture say, with the engine's noise in front of tables that round.

    Args:
        network: Any.
        values: (n, *boundaries[0].shape) int64, on the first grid.
        p_error: Of one lookup.
        start: The server's first layer; the client runs those before it, exactly.

    Returns:
        Probabilities (REPEATS, n, classes) float32.
    """
    received = network.run(values, Segment(0, start)) if start else values
    operations = NoisyOperations(p_error, np.random.default_rng(SEED))
    extent, last = network.boundaries[start].extent(), network.boundaries[-1]
    answers = [run_all(network.layers[start:], received, extent, operations) for _ in range(REPEATS)]
    return np.stack([probabilities(last.dequantise(each)) for each in answers])


def compare_answers(
    layer: str, clear: FloatArray, noisy: FloatArray, labels: IntArray, positive: int | None = None
) -> Rounding:
    """Compare answers in the clear with simulated ones.

    Args:
        layer: Name of the first layer whose rounding was simulated.
        clear: Probabilities (n, classes) float32.
        noisy: (REPEATS, n, classes) float32, of `simulate_evaluations`.
        labels: (n,) int64; every class occurs.
        positive: Index of the positive class, as `RocAuc` takes it.

    Raises:
        DatasetError: If a class does not occur.
    """
    name = "simulated"
    auc = RocAuc(labels, clear, name, positive).value()
    same = (noisy.argmax(axis=2) == clear.argmax(axis=1)).mean()
    changes = [abs(RocAuc(labels, each, name, positive).value() - auc) for each in noisy]
    return Rounding(layer, float(same), float(np.mean(changes)), max(changes))
