"""Integer networks made by hand: every kind of layer, no training, no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cryptml.networks import Boundary, Extent, IntArray, Network, Standardisation
from cryptml.networks.layers import Activation, Convolution, Layer, Linear, Residual, SumPooling

SIDE = 4


def chain(
    layers: Sequence[Layer], first: Boundary | None = None, classes: tuple[str, ...] = ("benign", "malignant")
) -> Network:
    """Return a network of the layers, its boundaries as the layers make them."""
    boundaries = [first or Boundary((1, SIDE, SIDE), -2, 1, (0.75,))]
    for layer in layers:
        extent = layer.propagate(boundaries[-1].extent())
        zeros = tuple(range(extent.shape[0]))
        boundaries.append(Boundary(extent.shape, int(extent.low.min()), int(extent.high.max()), (0.5,), zeros))
    return Network("small", Standardisation(SIDE), tuple(layers), tuple(boundaries), classes)


def layers_of_all_kinds(seed: int = 0) -> tuple[Layer, ...]:
    """Return convolution (padded), activation (a table a channel), pooling, residual block, linear."""
    random = np.random.default_rng(seed)
    weight = random.integers(-1, 2, (2, 1, 3, 3))
    convolution = Convolution("conv1", weight, np.array([3, 300]), padding=(1, 1))
    before = convolution.propagate(Boundary((1, SIDE, SIDE), -2, 1).extent())
    low, high = int(before.low.min()), int(before.high.max())
    activation = Activation("act1", random.integers(0, 4, (2, high - low + 1)), low)
    body = (
        pointwise(random.integers(-1, 2, (2, 2, 1, 1))),
        Activation("act", random.integers(-2, 2, (1, 200)), -100),
    )
    shortcut = (Activation("act", random.integers(-2, 2, (2, 200)), -100),)
    return (
        convolution,
        activation,
        SumPooling("pool1", (2, 2), (2, 2)),
        Residual("block1", body, shortcut),
        Linear("linear", random.integers(-3, 4, (2, 8)), random.integers(-5, 6, 2)),
    )


def pointwise(weight: IntArray) -> Convolution:
    """Return a convolution of single pixels."""
    return Convolution("conv", weight, np.zeros(len(weight), np.int64))


def small_network(seed: int = 0) -> Network:
    """Return five layers on 4x4 regions."""
    return chain(layers_of_all_kinds(seed))


def inside(extent: Extent, batch: int, seed: int = 0) -> IntArray:
    """Return (batch, *shape) integers, uniform within an extent."""
    random = np.random.default_rng(seed)
    shape = (batch, *extent.shape)
    low, high = (np.broadcast_to(bound, shape) for bound in (extent.per_value_low, extent.per_value_high))
    return random.integers(low, high, dtype=np.int64, endpoint=True)


def rounded_network(seed: int = 0) -> Network:
    """Return five layers whose tables drop bits; the first clamps too, at bins narrower than what can occur."""
    random = np.random.default_rng(seed)
    convolution = Convolution("conv1", random.integers(-6, 7, (2, 1, 2, 2)), np.array([60, 70]), stride=(2, 2))
    clamping = Activation("act1", np.sort(random.integers(0, 8, (2, 8)), axis=1), 32, dropped_bits=3, clamps=True)
    linear = Linear("linear1", random.integers(-7, 8, (3, 8)), np.array([200, 190, 210]))
    rounding = Activation("act2", random.integers(0, 6, (3, 15)), -20, dropped_bits=5)
    return chain(
        (convolution, clamping, linear, rounding, Linear("linear2", random.integers(-3, 4, (2, 3)), np.ones(2, int)))
    )
