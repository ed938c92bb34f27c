"""Learned convolutions alone, behind nothing but standardisation, for an answer of about three seconds.

Lookups are what costs, so few windows are looked at, each through many large filters that begin as wavelets: a small data set does not
teach them from noise. The absolute value behind them tells how strong a texture is, wherever its crests are. Weights and inputs
are wide, and what tables give, for accuracy: in front of a table width is free, behind one it makes all lookups dearer by half.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cryptml.networks.architectures.blocks import Modulus, activation, convolution, input_grid, linear
from cryptml.networks.architectures.dropout import CentredDropout
from cryptml.networks.architectures.rounding import RoundedAccumulator
from cryptml.networks.architectures.wavelets import begin_as_wavelets

SIDE = 28
KERNEL = 18
STRIDE = 10
CHANNELS = 24
HIDDEN = 40
FEATURES = CHANNELS * ((SIDE - KERNEL) // STRIDE + 1) ** 2


def build(classes: int = 2) -> nn.Sequential:
    """Return the untrained network for (batch, 1, 28, 28) pictures."""
    return nn.Sequential(
        OrderedDict(
            grid=input_grid(bits=6),
            conv1=begin_as_wavelets(convolution(1, CHANNELS, KERNEL, stride=STRIDE, bits=6)),
            round1=RoundedAccumulator(CHANNELS, bits=4),
            norm1=nn.BatchNorm2d(CHANNELS),
            modulus1=Modulus(),
            act1=activation(bits=4),
            flatten=nn.Flatten(),
            drop=CentredDropout(FEATURES, 0.2),
            linear1=linear(FEATURES, HIDDEN, bits=6, bias=False, scales=HIDDEN),
            round2=RoundedAccumulator(HIDDEN, bits=4),
            norm2=nn.BatchNorm1d(HIDDEN),
            act2=activation(bits=4),
            linear2=linear(HIDDEN, classes, bits=4),
        )
    )
