"""Linear segments: equations in the weights, solved from as many queries as probes tell apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryptml.exposure.knowledge import Knowledge
from cryptml.exposure.operators import Operator
from cryptml.exposure.oracles import Oracle
from cryptml.exposure.probes import AffinePlan
from cryptml.networks.boundary import Boundary
from cryptml.networks.extent import IntArray

CHUNK = 64
"""Unit inputs run at a time when composed maps are compared."""


@dataclass(frozen=True)
class AffineSurrogate:
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


def recover_affine(known: Knowledge, oracle: Oracle) -> AffineSurrogate:
    """Solve a linear segment with exactly ``AffinePlan.queries`` queries.

    Args:
        known: All layers linear.
        oracle: Answers; each query stays within the boundary's range.
    """
    plan, reads = AffinePlan(known.reads.shape, known.layers), known.reads
    start, step = base_and_step(reads)
    base = np.full((1, *reads.shape), start, dtype=np.int64)
    if not plan.rest:
        return AffineSurrogate(plan, base, plan.pool(base), None)
    answer = oracle.query(base)
    if not step:
        return AffineSurrogate(plan, base, answer, None)
    responses = np.zeros((len(plan.probes), *known.writes.shape), dtype=np.int64)
    for index, probe in enumerate(plan.probes):
        moved = base.copy()
        moved.reshape(-1)[plan.cell_inputs[probe.cells]] += step
        responses[index] = (oracle.query(moved)[0] - answer[0]) * step
    return AffineSurrogate(plan, base, answer, plan.solve(responses))


def base_and_step(reads: Boundary) -> tuple[int, int]:
    """Return the value in range nearest 0, and 1 or -1, which keeps within the range; 0 where the range is one value."""
    base = min(max(0, reads.low), reads.high)
    return base, 1 if base < reads.high else -1 if base > reads.low else 0
