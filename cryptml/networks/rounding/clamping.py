"""How often values leave what a table's bins are sure of, where the clear and the encrypted result part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryptml.networks.bins import Bins
from cryptml.networks.extent import IntArray
from cryptml.networks.layers import extents, propagate_all, run_all
from cryptml.networks.network import Network
from cryptml.networks.operations import NumpyOperations
from cryptml.splits import Segment


@dataclass(frozen=True)
class Clamping:
    """What was seen in front of one layer.

    Attributes:
        layer: Its name.
        boundary: Number of the boundary before it.
        values: Share of the values that its bins are not sure of, 0 to 1.
        inputs: Share of the inputs with at least one such value, 0 to 1.
    """

    layer: str
    boundary: int
    values: float
    inputs: float

    def to_json(self) -> dict[str, Any]:
        """Return the shares as JSON values."""
        return {"layer": self.layer, "boundary": self.boundary, "values": self.values, "inputs": self.inputs}


def measure_clamping(network: Network, values: IntArray) -> tuple[Clamping, ...]:
    """Return what (batch, *boundaries[0].shape) integers do in front of every layer with tables, in order."""
    found = []
    for index, (layer, entering) in enumerate(extents(network.layers, network.boundaries[0].extent())):
        counter = _Counter()
        values = run_all((layer,), values, entering, counter)
        if counter.beyond:
            beyond = np.concatenate(counter.beyond, axis=1)
            found.append(Clamping(layer.name, index, float(beyond.mean()), float(beyond.any(axis=1).mean())))
    return tuple(found)


def within_bins(network: Network, values: IntArray, segment: Segment) -> NDArray[np.bool_]:
    """Return (batch,) for (batch, *boundaries[segment.start].shape) integers: whether a circuit's every table is sure of what it gets.

    A table that comes first always is: the client reads its bins.
    """
    layers, extent = network.segment_layers(segment), network.boundaries[segment.start].extent()
    counter, first = _Counter(), int(network.entering_bins(segment) is not None)
    values = run_all(layers[:first], values, extent, NumpyOperations())
    run_all(layers[first:], values, propagate_all(layers[:first], extent), counter)
    if not counter.beyond:
        return np.ones(len(values), dtype=bool)
    return ~np.concatenate(counter.beyond, axis=1).any(axis=1)


@dataclass
class _Counter(NumpyOperations):
    """Exact execution that remembers, for every table, which values it was not sure of: (batch, values) each."""

    beyond: list[NDArray[np.bool_]] = field(default_factory=list)

    def look_up(self, x: IntArray, tables: IntArray, bins: Bins) -> IntArray:
        """See `Operations.look_up`."""
        self.beyond.append(~bins.hold(x).reshape(len(x), -1))
        return super().look_up(x, tables, bins)
