"""Five layers on 8x8 regions: small enough to run every split in a test, encrypted ones included."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cryptml.networks.modules.blocks import activation, convolution, input_grid, linear

SIDE = 8


def build(classes: int = 2) -> nn.Sequential:
    """Return the untrained network for (batch, 1, 8, 8) standardised regions."""
    return nn.Sequential(
        OrderedDict(
            grid=input_grid(bits=2),
            conv1=convolution(1, 2, 2, stride=2, bits=2),
            norm1=nn.BatchNorm2d(2),
            act1=activation(bits=2),
            conv2=convolution(2, 4, 2, stride=2, bits=2),
            norm2=nn.BatchNorm2d(4),
            act2=activation(bits=2),
            flatten=nn.Flatten(),
            linear=linear(16, classes, bits=2),
        )
    )
