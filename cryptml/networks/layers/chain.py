"""Layers one after another: the whole network, a segment of it or a branch of a block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from cryptml.networks.extent import Extent
from cryptml.networks.layers.base import Layer, TensorT
from cryptml.networks.operations import Operations


def extents(layers: Sequence[Layer], extent: Extent) -> Iterator[tuple[Layer, Extent]]:
    """Yield each layer with what can enter it, given what can enter the first."""
    for layer in layers:
        yield layer, extent
        extent = layer.propagate(extent)


def propagate_all(layers: Sequence[Layer], extent: Extent) -> Extent:
    """Return what can leave the last layer."""
    for layer in layers:
        extent = layer.propagate(extent)
    return extent


def run_all(layers: Sequence[Layer], x: TensorT, extent: Extent, operations: Operations[TensorT]) -> TensorT:
    """Run the layers on (batch, *extent.shape) values."""
    for layer, following in zip_longest(layers, layers[1:]):
        leaving = layer.propagate(extent)
        bounds = leaving.bounds if following is None else following.distinguished(leaving)
        x = layer.forward(x, extent, operations, bounds)
        extent = leaving
    return x
