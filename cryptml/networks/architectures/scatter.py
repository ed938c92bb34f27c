"""Four layers behind a scattering transform: a rich public description of the region, and a narrow head that holds all that is learned.

What counts is the number of tables and the width of their input. Negacyclic activations read 8 bins of half a period, which makes the
width of inputs and weights a matter of accuracy alone. Every neuron votes for one class, with a weight that its table holds, so that
sums stay narrow: a wider output would make the tables dearer.
"""

from __future__ import annotations

from torch import nn

from cryptml.networks.architectures.head import negacyclic_head
from cryptml.networks.front_ends import Scattering

SIDE = 28
FRONT_END = Scattering(SIDE, octaves=3, directions=8, cells=2, harmonics=2)
HIDDEN = 22


def build(classes: int = 2) -> nn.Sequential:
    """Return the untrained network for (batch, 360) features."""
    return negacyclic_head(FRONT_END.shape[0], HIDDEN, classes)
