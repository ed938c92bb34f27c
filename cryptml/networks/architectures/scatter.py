"""Four layers behind a scattering transform: a rich public description of the region, and a narrow head that holds all that is learned.

What counts is the number of tables and the width of their input. Accumulators are rounded to 16 bins before their table, which makes
the width of inputs and weights a matter of accuracy alone. Every neuron votes for one class, as loudly as its table says: 6 bits hold
the sum of 9 votes, and a wider output would make the tables dearer.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cryptml.networks.architectures.blocks import activation, input_grid, linear, votes
from cryptml.networks.architectures.dropout import CentredDropout
from cryptml.networks.architectures.rounding import RoundedAccumulator
from cryptml.networks.front_ends import Scattering

SIDE = 28
FRONT_END = Scattering(SIDE, octaves=3, directions=8, cells=2, harmonics=2)
HIDDEN = 18


def build(classes: int = 2) -> nn.Sequential:
    """Return the untrained network for (batch, 360) features."""
    (features,) = FRONT_END.shape
    return nn.Sequential(
        OrderedDict(
            grid=input_grid(bits=6),
            drop=CentredDropout(features, 0.3),
            linear1=linear(features, HIDDEN, bits=5, bias=False, scales=HIDDEN),
            round1=RoundedAccumulator(HIDDEN, bits=4),
            norm1=nn.BatchNorm1d(HIDDEN),
            act1=activation(bits=3),
            votes=votes(HIDDEN, classes),
        )
    )
