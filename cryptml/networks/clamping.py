"""How often values leave the range that a table was calibrated for, where the clear and the encrypted result part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryptml.networks.bins import Bins
from cryptml.networks.extent import IntArray
from cryptml.networks.layers import extents, run_all
from cryptml.networks.network import Network
from cryptml.networks.operations import NumpyOperations
from cryptml.splits import Segment


@dataclass(frozen=True)
class Clamping:
    """What was seen in front of one layer.

    Attributes:
        layer: Its name.
        boundary: Number of the boundary before it.
        values: Share of the values beyond its bins, 0 to 1.
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
    """Return (batch,) for (batch, *boundaries[segment.start].shape) integers: whether every table holds what it gets."""
    counter = _Counter()
    run_all(network.segment_layers(segment), values, network.boundaries[segment.start].extent(), counter)
    if not counter.beyond:
        return np.ones(len(values), dtype=bool)
    return ~np.concatenate(counter.beyond, axis=1).any(axis=1)


@dataclass
class _Counter(NumpyOperations):
    """Exact execution that remembers, for every table, which values lay beyond its bins: (batch, values) each."""

    beyond: list[NDArray[np.bool_]] = field(default_factory=list)

    def look_up(self, x: IntArray, tables: IntArray, bins: Bins) -> IntArray:
        """See `Operations.look_up`."""
        self.beyond.append(((x < bins.low) | (x > bins.high)).reshape(len(x), -1))
        return super().look_up(x, tables, bins)
