"""Seven layers for 32x32 mammogram regions, made for the price of encryption.

What counts is the number of tables and the width of their input: accumulators are rounded to 16 bins before their table, which makes
the width of weights and activations a matter of accuracy alone. Training adds more noise than the engine does, for answers that
depend on it less.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cryptml.networks.architectures.blocks import activation, convolution, input_grid, linear
from cryptml.networks.architectures.rounding import RoundedAccumulator

SIDE = 32
NOISE = 3.0
"""Of the engine's."""


def build(classes: int = 2) -> nn.Sequential:
    """Return the untrained network for (batch, 1, 32, 32) standardised regions."""
    return nn.Sequential(
        OrderedDict(
            grid=input_grid(bits=4),
            conv1=convolution(1, 8, 3, stride=2, padding=1, bits=4),
            round1=RoundedAccumulator(8, bits=4, noise=NOISE),
            norm1=nn.BatchNorm2d(8),
            act1=activation(bits=2),
            pool1=nn.AvgPool2d(2),
            conv2=convolution(8, 16, 4, stride=2, padding=1, bits=4),
            round2=RoundedAccumulator(16, bits=4, noise=NOISE),
            norm2=nn.BatchNorm2d(16),
            act2=activation(bits=2),
            pool2=nn.AvgPool2d(2),
            flatten=nn.Flatten(),
            drop=nn.Dropout(0.2),
            linear=linear(64, classes, bits=3),
        )
    )
