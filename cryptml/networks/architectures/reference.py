"""Five layers for 32x32 mammogram regions, what commands take where no network is named: see `cryptml.networks.architectures.windows`."""

from __future__ import annotations

from torch import nn

from cryptml.networks.architectures.windows import windowed

SIDE = 32


def build(classes: int = 2) -> nn.Sequential:
    """Return the untrained network for (batch, 1, 32, 32) standardised regions."""
    return windowed(classes, kernel=16, stride=8)
