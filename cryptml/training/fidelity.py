"""What encryption changes of a network's answers, simulated on a whole data set: rounding, and inputs out of range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from cryptml.networks.clamping import Clamping, measure_clamping
from cryptml.networks.engine_noise import NoisyOperations
from cryptml.networks.extent import IntArray
from cryptml.networks.layers import run_all
from cryptml.networks.network import Network, probabilities
from cryptml.splits import Segment
from cryptml.training.auc import RocAuc

REPEATS = 20
"""Simulated evaluations of every picture."""

SEED = 0
"""Of the simulated noise."""


@dataclass(frozen=True)
class Fidelity:
    """Encrypted answers, all layers on the server, against those in the clear.

    Attributes:
        approximate: Whether anything is rounded; answers are equal otherwise, but for the range.
        p_error: Of one lookup, which says how much noise there is.
        same_label: Share of simulated answers with the label of the clear one, 0 to 1.
        auc_change: Mean difference, either way, between the AUC of a simulated run over all pictures and the clear one.
        auc_worst: The largest of them.
        clipped: Share of the front end's values that its grid cuts off, 0 to 1.
        clamping: What leaves its calibrated range in front of each layer with tables.
    """

    approximate: bool
    p_error: float
    same_label: float
    auc_change: float
    auc_worst: float
    clipped: float
    clamping: tuple[Clamping, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        shares = {
            name: getattr(self, name)
            for name in ("approximate", "p_error", "same_label", "auc_change", "auc_worst", "clipped")
        }
        return {**shares, "clamping": [each.to_json() for each in self.clamping]}


def measure_fidelity(network: Network, inputs: Tensor, labels: IntArray, p_error: float) -> Fidelity:
    """Simulate encrypted evaluations of pictures, every class among them.

    Args:
        network: Any.
        inputs: (n, *front_end.shape) float32, behind the front end.
        labels: (n,) int64.
        p_error: Of one lookup.
    """
    first, last = network.boundaries[0], network.boundaries[-1]
    values = first.quantise(inputs.numpy())
    clear = probabilities(last.dequantise(network.run(values)))
    auc = RocAuc(labels, clear, network.name).value()
    same, changes = [1.0], [0.0]
    if network.is_approximate(Segment(0, len(network))):
        operations = NoisyOperations(p_error, np.random.default_rng(SEED))
        same, changes = [], []
        for _ in range(REPEATS):
            noisy = probabilities(last.dequantise(run_all(network.layers, values, first.extent(), operations)))
            same.append(float((noisy.argmax(axis=1) == clear.argmax(axis=1)).mean()))
            changes.append(abs(RocAuc(labels, noisy, network.name).value() - auc))
    return Fidelity(
        approximate=network.is_approximate(Segment(0, len(network))),
        p_error=p_error,
        same_label=float(np.mean(same)),
        auc_change=float(np.mean(changes)),
        auc_worst=max(changes),
        clipped=first.clipped_share(inputs.numpy()),
        clamping=measure_clamping(network, values),
    )
