"""A small integer network whose layers all hold enough integers to be searched for in a file."""

from __future__ import annotations

from typing import Any

import numpy as np

from cryptml.networks import Boundary, IntArray, Network, Standardisation
from cryptml.networks.layers import Activation, Convolution, Layer, Linear

SIDE = 8


def sample_network(name: str = "sample", seed: int = 0) -> Network:
    """Return convolution, table, convolution, table, linear on 8x8 regions; random, so that no two tensors are alike."""
    random = np.random.default_rng(seed)
    boundaries = [Boundary((1, SIDE, SIDE), -2, 1, (0.75,))]
    layers: list[Layer] = []

    def add(layer: Layer, scale: float) -> None:
        extent = layer.propagate(boundaries[-1].extent())
        low, high = int(extent.low.min()), int(extent.high.max())
        layers.append(layer)
        boundaries.append(Boundary(extent.shape, low, high, (scale,)))

    def unsigned(kind: type[Convolution] | type[Linear], called: str, weight: IntArray, **more: Any) -> Layer:
        raw = kind(called, weight, np.zeros(len(weight), np.int64), **more)
        return kind(called, weight, -raw.propagate(boundaries[-1].extent()).low, **more)

    def table(called: str) -> Layer:
        before = boundaries[-1]
        slopes = np.sort(random.integers(0, 4, (before.channels, before.high + 1)), axis=1)
        return Activation(called, slopes)

    add(unsigned(Convolution, "conv1", random.integers(-2, 3, (5, 1, 2, 2)), stride=(2, 2)), 0.5)
    add(table("act1"), 0.25)
    add(unsigned(Convolution, "conv2", random.integers(-1, 2, (4, 5, 2, 2)), stride=(2, 2)), 0.125)
    add(table("act2"), 0.5)
    add(unsigned(Linear, "linear", random.integers(-1, 2, (2, 16))), 0.0625)
    return Network(name, Standardisation(SIDE), tuple(layers), tuple(boundaries), ("benign", "malignant"))
