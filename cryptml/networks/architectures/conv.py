"""Learned convolutions alone, behind nothing but standardisation, for an answer of about three seconds.

Lookups are what costs, so few windows are looked at, each through many large filters that begin as wavelets: a small data set does not
teach them from noise. Waves behind them read 8 bins of half a turn, finer than bins over all that is seen, at the price of
3 bits. Integer weights between the two tables are no larger than the bins need, and neurons vote: all of it keeps lookups cheap.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cryptml.networks.architectures.binned import BinnedLinear
from cryptml.networks.architectures.blocks import convolution, input_grid, signed_activation, votes
from cryptml.networks.architectures.dropout import CentredDropout
from cryptml.networks.architectures.triangle import TriangleWave
from cryptml.networks.architectures.wavelets import begin_as_wavelets

SIDE = 28
KERNEL = 14
STRIDE = 7
CHANNELS = 24
HIDDEN = 48
FEATURES = CHANNELS * ((SIDE - KERNEL) // STRIDE + 1) ** 2
STEPS = 16
"""Of the hidden layer's accumulators in one bin: weights have a norm of about 15, which their noise allows at the price of 3 bits."""


def build(classes: int = 2) -> nn.Sequential:
    """Return the untrained network for (batch, 1, 28, 28) pictures."""
    wave2 = TriangleWave(HIDDEN, bits=3, steps=STEPS)
    return nn.Sequential(
        OrderedDict(
            grid=input_grid(bits=6),
            conv1=begin_as_wavelets(convolution(1, CHANNELS, KERNEL, stride=STRIDE, bits=6)),
            wave1=TriangleWave(CHANNELS, bits=3, phase=0.0),
            act1=signed_activation(bits=4),
            flatten=nn.Flatten(),
            drop=CentredDropout(FEATURES, 0.2),
            linear1=BinnedLinear(FEATURES, HIDDEN, bits=4, bins=wave2),
            wave2=wave2,
            act2=signed_activation(bits=3),
            votes=votes(HIDDEN, classes),
        )
    )
