"""Three layers behind public features: one weighted sum, one table, and what is left of a probability. Cheap, and no secret for long.

Whoever may ask often enough finds the sum by the table's edges, one input after another: some bits of an input for each query. It is for
providers who accept that, and say so by number where a split is chosen or built.

Features are few, because what an answer costs beside the table is encrypting and reading the inputs: deep features of a small region,
averaged over its symmetries and over its cells, and wavelet moduli of the whole one, averaged over turns.
"""

from __future__ import annotations

from torch import nn

from cryptml.networks.architectures.head import linear_head
from cryptml.networks.front_ends import Deep, Joined, Scattering

SIDE = 32
FRONT_END = Joined(SIDE, (Deep(16, "square", cells=1), Scattering(SIDE, octaves=3, directions=8, turned=True)))


def build(classes: int = 2) -> nn.Sequential:
    """Return the untrained network for (batch, 130) features."""
    return linear_head(FRONT_END.shape[0], classes)
