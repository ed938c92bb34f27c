"""Weighted sums of several classes, one each, that tell it from all others by a wide margin: what a table of few entries keeps best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

DECAYS = (1e-5, 1e-4, 1e-3)
"""Weights of the squared weights in the loss, of which one is chosen on pictures that were not learned from."""

MOST_STEPS = 150
_LEAST_DEVIATION = 1e-6
HELD_OUT = 4
"""One in so many pictures is judged on while the decay is chosen."""


@dataclass(frozen=True)
class Sums:
    """Of class against rest: above 0 for the class, about 1, and below for others, about -1.

    Attributes:
        weights: (classes, values) float32, of values as they are.
        offsets: (classes,) float32.
    """

    weights: Tensor
    offsets: Tensor

    def of(self, rows: Tensor) -> Tensor:
        """Return (n, classes) for (n, values)."""
        return rows @ self.weights.T + self.offsets


def fit_against_rest(rows: Tensor, labels: Tensor, classes: int, groups: Tensor) -> Sums:
    """Return sums with the least squared hinge loss, each class weighing the same however rare.

    The loss is ``max(0, 1 - t z)^2`` for the target t of 1 or -1: beyond the margin it asks for nothing, so that sums lie close to 1 and -1
    where they can, and few entries between tell them apart. It is convex, so that there is one minimum.

    Args:
        rows: (n, values) float32.
        labels: (n,) int64; every class occurs.
        classes: How many.
        groups: (n,) int64: variants of one picture share a number, and are learned from or judged on together.
    """
    judged = groups % HELD_OUT == HELD_OUT - 1
    best = DECAYS[0]
    if judged.any() and len(torch.unique(labels[~judged])) == classes:
        right = []
        for decay in DECAYS:
            sums = _fitted(rows[~judged], labels[~judged], classes, decay)
            right.append(float((sums.of(rows[judged]).argmax(1) == labels[judged]).float().mean()))
        best = DECAYS[int(np.argmax(right))]
    return _fitted(rows, labels, classes, best)


def _fitted(rows: Tensor, labels: Tensor, classes: int, decay: float) -> Sums:
    mean, deviation = rows.mean(0), rows.std(0)
    # Values that hardly vary would get weights that leave no bits to the others.
    deviation = deviation.clamp_min(deviation.median().clamp_min(_LEAST_DEVIATION))
    values = (rows - mean) / deviation
    targets = torch.nn.functional.one_hot(labels, classes).to(torch.float32) * 2 - 1
    counts = torch.bincount(labels, minlength=classes).to(torch.float32)
    shares = (len(labels) / (classes * counts))[labels, None]
    weights = torch.zeros(rows.shape[1], classes, requires_grad=True)
    offsets = torch.zeros(classes, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights, offsets], max_iter=MOST_STEPS, history_size=20)

    def loss() -> float:
        optimiser.zero_grad()
        missing = torch.relu(1 - targets * (values @ weights + offsets))
        found = (shares * missing**2).mean() + decay * (weights**2).sum()
        found.backward()
        return float(found)

    optimiser.step(loss)
    with torch.no_grad():
        scaled = weights / deviation[:, None]
        return Sums(scaled.T.contiguous(), offsets - mean @ scaled)
