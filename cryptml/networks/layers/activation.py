"""Non-linearity and requantisation as one table a channel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cryptml.errors import NetworkError
from cryptml.networks.bins import Bins
from cryptml.networks.extent import Extent, IntArray
from cryptml.networks.layers.base import MAX_TABLE_BITS, Layer, TensorT, as_integers
from cryptml.networks.operations import Operations


@dataclass(frozen=True, eq=False, repr=False)
class Activation(Layer):
    """Everything between two linear layers: batch normalisation, non-linearity, requantisation.

    Attributes:
        table: (1 or channels, entries) int64; entry i is the output for inputs of bin i of `bins`.
        low: The smallest input; 0 behind linear layers, whose accumulators start there.
        dropped_bits: Lowest bits of the input that make no difference. Within a circuit they are rounded away as Concrete does
            it at no cost: a value close to the edge of a bin may be read as the table entry beside it.
        clamps: Whether inputs may lie beyond what the bins are sure of: in the clear they count as the nearest, within a circuit the
            result is not defined. The bins then cover what was seen in calibration, with a margin, instead of what can occur.
        negacyclic: Whether the table goes on beyond its ends with the opposite sign, as Concrete reads it: no input lies beyond it then.
    """

    table: IntArray
    low: int = 0
    dropped_bits: int = 0
    clamps: bool = False
    negacyclic: bool = False
    kind: ClassVar[str] = "activation"
    linear: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", as_integers(self.table))
        if self.table.ndim == 2:
            _ = self.bins  # refuses bins that cannot be
        if self.negacyclic and self.clamps:
            raise NetworkError(f"layer {self.name!r} cannot clamp what it reads negacyclically; choose one")

    @property
    def bins(self) -> Bins:
        """Which inputs read which entry."""
        return Bins(self.low, self.table.shape[1], self.dropped_bits, self.negacyclic)

    def on_bins(self) -> Activation:
        """Return the same layer for inputs that are numbers of bins already."""
        return Activation(self.name, self.bins.whole(self.table))

    def forward(
        self,
        x: TensorT,
        extent: Extent,
        operations: Operations[TensorT],
        bounds: tuple[int, int],  # noqa: ARG002
    ) -> TensorT:
        """See `Layer.forward`."""
        self._require(extent)
        return operations.look_up(x, self.table, self.bins)

    def propagate(self, extent: Extent) -> Extent:
        """See `Layer.propagate`; only the entries that an input can reach count."""
        self._require(extent)
        channels = extent.shape[0]
        bins = self.bins
        tables = np.broadcast_to(bins.whole(self.table), (channels, bins.numbers))
        reached = [tables[c, self._reached(int(extent.low[c]), int(extent.high[c]))] for c in range(channels)]
        low = np.array([entries.min() for entries in reached], dtype=np.int64)
        high = np.array([entries.max() for entries in reached], dtype=np.int64)
        return Extent(extent.shape, low, high)

    def _reached(self, low: int, high: int) -> IntArray:
        """Return the numbers of bins that values from ``low`` to ``high`` can be read as; noise may carry those without an end further."""
        bins = self.bins
        if not bins.negacyclic:
            first, last = bins.index(np.array([low, high])).tolist()
            return np.arange(first, last + 1)
        noise = int(self.rounds)
        first, last = (low - bins.low >> bins.dropped_bits) - noise, (high - bins.low >> bins.dropped_bits) + noise
        return np.arange(first, min(last, first + bins.numbers - 1) + 1) % bins.numbers

    def bootstraps(self, extent: Extent) -> int:
        """See `Layer.bootstraps`: one a value."""
        return math.prod(extent.shape)

    def distinguished(self, extent: Extent) -> tuple[int, int]:
        """See `Layer.distinguished`."""
        low, high = extent.bounds
        if self.negacyclic and not self.bins.low <= low <= high <= self.bins.high:
            return self.bins.low, self.bins.high
        return (max(low, self.bins.low), min(high, self.bins.high)) if self.clamps else (low, high)

    def table_bits(self, extent: Extent) -> int:  # noqa: ARG002
        """See `Layer.table_bits`."""
        return self.bins.bits

    @property
    def rounds(self) -> bool:
        """See `Layer.rounds`."""
        return self.dropped_bits > 0

    @property
    def parameters(self) -> int:
        """See `Layer.parameters`."""
        return int(self.table.size)

    def attributes(self) -> dict[str, Any]:
        """See `Layer.attributes`."""
        turns = {"negacyclic": True} if self.negacyclic else {}
        return {"low": self.low, "dropped_bits": self.dropped_bits, "clamps": self.clamps, **turns}

    def tensors(self) -> dict[str, IntArray]:
        """See `Layer.tensors`."""
        return {"table": self.table}

    @classmethod
    def restore(cls, name: str, attributes: Mapping[str, Any], tensors: Mapping[str, IntArray]) -> Activation:
        """See `Layer.restore`."""
        table = tensors.get("table")
        if table is None or table.ndim != 2 or not table.size or table.shape[1] > 1 << MAX_TABLE_BITS:
            shape = None if table is None else table.shape
            raise NetworkError(
                f"layer {name!r} has a table of shape {shape}; expected (channels, entries) with at most "
                f"2^{MAX_TABLE_BITS} entries"
            )
        return cls(
            name,
            table,
            attributes["low"],
            attributes.get("dropped_bits", 0),
            attributes.get("clamps", False),
            attributes.get("negacyclic", False),
        )

    def _require(self, extent: Extent) -> None:
        low, high = extent.bounds
        covers = self.clamps or bool(self.bins.hold(np.array([low, high])).all())
        if not covers or len(self.table) not in (1, extent.shape[0]):
            raise NetworkError(
                f"layer {self.name!r} has a table of shape {self.table.shape} but gets values in [{low}, {high}] on "
                f"{extent.shape[0]} channels; the table must cover them"
            )
