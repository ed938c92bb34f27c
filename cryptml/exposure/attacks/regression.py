"""Plain ridge regression, for whatever else does not work."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryptml.exposure.knowledge import Knowledge
from cryptml.exposure.probes import AffinePlan
from cryptml.exposure.surrogate import Answers, Surrogate
from cryptml.networks.extent import IntArray

PENALTIES = (1e-4, 0.01, 0.1, 1.0, 10.0)
"""Ridge penalties that are tried, in units of a feature's summed squares."""


def regression(known: Knowledge, oracle: Answers, budget: int, random: np.random.Generator) -> Surrogate:
    """Imitate any segment by ridge regression of its answers on its inputs, rounded and kept in range.

    Leading poolings are run in the clear, because they are public. The penalty is the one that does best on a fifth of the
    queries, kept back.
    """
    pools = AffinePlan(known.reads.shape, known.layers[: _leading(known)])
    values = random.integers(
        known.reads.low, known.reads.high, (budget, *known.reads.shape), endpoint=True, dtype=np.int64
    )
    inputs = pools.pool(values).reshape(budget, -1).astype(float)
    answers = oracle.query(values).reshape(budget, -1).astype(float)
    centre, middle = inputs.mean(axis=0), answers.mean(axis=0)
    inputs, answers = inputs - centre, answers - middle
    fitted = budget * 4 // 5
    scale = fitted * max(float(inputs.var()), 1e-9)

    def error(penalty: float) -> float:
        weight = _ridge(inputs[:fitted], answers[:fitted], penalty * scale)
        return float(((inputs[fitted:] @ weight - answers[fitted:]) ** 2).sum())

    weight = _ridge(inputs, answers, min(PENALTIES, key=error) * scale)

    def predict(wanted: IntArray) -> IntArray:
        found = (pools.pool(wanted).reshape(len(wanted), -1) - centre) @ weight + middle
        clipped = np.clip(np.rint(found), known.writes.low, known.writes.high)
        return clipped.astype(np.int64).reshape(-1, *known.writes.shape)

    return Surrogate(predict, "ridge regression on random queries, rounded")


def _leading(known: Knowledge) -> int:
    return next((i for i, layer in enumerate(known.layers) if not layer.public), len(known.layers))


def _ridge(inputs: NDArray[np.float64], answers: NDArray[np.float64], penalty: float) -> NDArray[np.float64]:
    """Return (features, outputs) weights; of two equal formulas the one with the smaller matrix."""
    rows, features = inputs.shape
    if features <= rows:
        return np.linalg.solve(inputs.T @ inputs + penalty * np.eye(features), inputs.T @ answers)
    return inputs.T @ np.linalg.solve(inputs @ inputs.T + penalty * np.eye(rows), answers)
