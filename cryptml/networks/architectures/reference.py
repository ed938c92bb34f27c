"""Seven layers for 32x32 mammogram regions, made for the price of encryption.

What counts is the width of the accumulators that a table reads. The second convolution therefore has five weights a neuron
(ternary, at fixed places of its 8x4x4 window), so that 5 taps of a sum of four 2-bit activations stay within 6 bits. The places
are drawn once from a fixed seed: they are part of the architecture, not of what is learned.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cryptml.networks.architectures.blocks import activation, convolution, input_grid, keep_taps, linear

SIDE = 32


def build(classes: int = 2) -> nn.Sequential:
    """Return the untrained network for (batch, 1, 32, 32) standardised regions."""
    return nn.Sequential(
        OrderedDict(
            grid=input_grid(bits=3),
            conv1=convolution(1, 8, 3, stride=2, padding=1, bits=2),
            norm1=nn.BatchNorm2d(8),
            act1=activation(bits=2),
            pool1=nn.AvgPool2d(2),
            conv2=keep_taps(convolution(8, 16, 4, stride=2, padding=1, bits=2), taps=5, seed=0),
            norm2=nn.BatchNorm2d(16),
            act2=activation(bits=2),
            pool2=nn.AvgPool2d(2),
            flatten=nn.Flatten(),
            drop=nn.Dropout(0.2),
            linear=linear(64, classes, bits=3),
        )
    )
