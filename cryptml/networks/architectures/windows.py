"""Learned convolutions alone: large filters that look through a few windows, and a hidden layer whose neurons vote.

Programmable bootstraps are what costs, so few windows are looked at, each through many filters that begin as wavelets: a small data
set does not teach them from noise. Negacyclic activations behind them read 8 bins of half a period, finer than bins over all that is
seen, at the price of 3 bits. Integer weights between the two tables are no larger than the bins need, and neurons vote: all of it keeps
bootstraps cheap.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cryptml.networks.architectures.wavelets import begin_as_wavelets
from cryptml.networks.modules.binned_linear import BinnedLinear
from cryptml.networks.modules.blocks import convolution, input_grid, signed_activation, votes
from cryptml.networks.modules.dropout import CentredDropout
from cryptml.networks.modules.negacyclic import NegacyclicActivation

WINDOWS = 3
"""In a row and in a column."""

CHANNELS = 24
HIDDEN = 48
STEPS = 16
"""Of the hidden layer's accumulators in one bin: weights have a norm of about 15, which their noise allows at the price of 3 bits."""


def windowed(classes: int, *, kernel: int, stride: int) -> nn.Sequential:
    """Return the untrained network for (batch, 1, side, side) pictures, of which it sees 3 x 3 windows.

    Args:
        classes: Names of the outputs; every hidden neuron votes for one.
        kernel: Rows and columns of a window.
        stride: Of the windows; ``kernel + 2 * stride`` is the side.
    """
    features = CHANNELS * WINDOWS**2
    wave2 = NegacyclicActivation(HIDDEN, bits=3, steps=STEPS)
    return nn.Sequential(
        OrderedDict(
            grid=input_grid(bits=6),
            conv1=begin_as_wavelets(convolution(1, CHANNELS, kernel, stride=stride, bits=6)),
            wave1=NegacyclicActivation(CHANNELS, bits=3, phase=0.0),
            act1=signed_activation(bits=4),
            flatten=nn.Flatten(),
            drop=CentredDropout(features, 0.2),
            linear1=BinnedLinear(features, HIDDEN, bits=4, bins=wave2),
            wave2=wave2,
            act2=signed_activation(bits=3),
            votes=votes(HIDDEN, classes),
        )
    )
