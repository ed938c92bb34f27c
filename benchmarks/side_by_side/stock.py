"""A convolutional network as one would write it for Concrete ML's default flow: 3 bits, pruned so that accumulators keep to 8.

Nothing in it knows about prices: 456 activations, accumulators read whole.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cryptml.networks.modules.blocks import activation, convolution, input_grid, keep_taps, linear

SIDE = 28
BITS = 3
FIRST_TAPS, TAPS = 10, 6
"""Weights that are left to each neuron: 10 * 4 * 3 and 6 * 7 * 3 bound a sum by 126 either way, which is 8 bits."""


def build(classes: int = 2) -> nn.Sequential:
    """Return the untrained network for (batch, 1, 28, 28) standardised regions."""
    return nn.Sequential(
        OrderedDict(
            grid=input_grid(bits=BITS),
            conv1=keep_taps(convolution(1, 8, 5, stride=4, bits=BITS), taps=FIRST_TAPS, seed=2),
            norm1=nn.BatchNorm2d(8),
            act1=activation(bits=BITS),
            conv2=keep_taps(convolution(8, 16, 2, stride=2, bits=BITS), taps=TAPS, seed=0),
            norm2=nn.BatchNorm2d(16),
            act2=activation(bits=BITS),
            flatten=nn.Flatten(),
            linear1=keep_taps(linear(144, 24, bits=BITS, bias=False), taps=TAPS, seed=1),
            norm3=nn.BatchNorm1d(24),
            act3=activation(bits=BITS),
            linear2=linear(24, classes, bits=BITS),
        )
    )


build.side = SIDE  # type: ignore[attr-defined]
