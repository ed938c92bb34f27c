"""Which queries recover a linear segment, and what their answers say: the attack's plan, made without any weight.

The attacker is a client. What is assumed to be known: shapes and ranges of the two boundaries (they are in a client bundle),
and the architecture, which is to say the kind of each layer with its kernel, stride, padding and groups (it is not in the
bundle, but published with a network, or guessed from the shapes). Weights, biases and tables are not known. An attacker who
knows the shapes alone needs one query for each input and one more.

Equation solving by chosen queries is from Tramèr et al., Stealing Machine Learning Models via Prediction APIs, USENIX
Security 2016; that impulses far enough apart share a query is plain linearity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cryptml.networks.boundary import Boundary
from cryptml.networks.extent import IntArray
from cryptml.networks.layers import Convolution, Layer, Residual, SumPooling, extents
from cryptml.networks.network import Network
from cryptml.networks.operations import NumpyOperations
from cryptml.splits import Segment

Pair = tuple[int, int]


@dataclass(frozen=True)
class PublicLayer:
    """A layer without its learned integers.

    Attributes:
        kind: As `cryptml.networks.layers.Layer.kind`.
        linear: Whether it is an affine map.
        reads: Input shape.
        writes: Output shape.
        kernel: Rows, columns; (1, 1) where there is none.
        stride: Rows, columns.
        padding: Rows, columns.
        groups: Of a convolution; the channels of a pooling.
        lookups: Non-linear layers inside, itself included.
    """

    kind: str
    linear: bool
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1
    lookups: int = 0

    @staticmethod
    def of(layer: Layer, reads: tuple[int, ...], writes: tuple[int, ...]) -> PublicLayer:
        """Strip a layer of its learned integers."""
        kernel, stride, padding, groups = (1, 1), (1, 1), (0, 0), 1
        if isinstance(layer, Convolution):
            kernel = (layer.weight.shape[2], layer.weight.shape[3])
            stride, padding, groups = layer.stride, layer.padding, layer.groups
        elif isinstance(layer, SumPooling):
            kernel, stride, groups = layer.kernel, layer.stride, reads[0]
        return PublicLayer(
            layer.kind, layer.linear, reads, writes, kernel, stride, padding, groups, count_lookups(layer)
        )

    @property
    def public(self) -> bool:
        """Whether it holds nothing to learn: a pooling whose windows do not overlap, so that its cells move one by one."""
        return self.kind == SumPooling.kind and all(k <= s for k, s in zip(self.kernel, self.stride, strict=True))


def count_lookups(layer: Layer) -> int:
    """Return the non-linear layers in a layer, itself included; a residual block counts those of its branches, 1 at least."""
    if isinstance(layer, Residual):
        return max(1, sum(count_lookups(inner) for inner in (*layer.body, *layer.shortcut)))
    return 0 if layer.linear else 1


@dataclass(frozen=True)
class Knowledge:
    """What the attacker knows of a segment.

    Attributes:
        reads: The boundary before it, without its grid; where the client puts values into a table's bins, their numbers.
        writes: The boundary behind it, without its grid.
        layers: Its layers without learned integers.
    """

    reads: Boundary
    writes: Boundary
    layers: tuple[PublicLayer, ...]

    @staticmethod
    def of(network: Network, segment: Segment) -> Knowledge:
        """Strip a segment of its learned integers.

        Raises:
            NetworkError: If it reaches past the last layer.
        """
        layers = network.segment_layers(segment)
        before = [extent.shape for _, extent in extents(layers, network.boundaries[segment.start].extent())]
        after = [*before[1:], network.boundaries[segment.stop].shape]
        reads, bins = network.boundaries[segment.start].without_grid(), network.entering_bins(segment)
        if bins is not None:
            reads = Boundary(reads.shape, *bins.index_range(reads.low, reads.high))
        return Knowledge(
            reads,
            network.boundaries[segment.stop].without_grid(),
            tuple(map(PublicLayer.of, layers, before, after)),
        )

    @property
    def linear(self) -> bool:
        """Whether every layer is an affine map."""
        return all(layer.linear for layer in self.layers)

    @property
    def lookups(self) -> int:
        """Non-linear layers."""
        return sum(layer.lookups for layer in self.layers)


@dataclass(frozen=True, eq=False)
class Window:
    """Several layers that act together as one zero-padded convolution.

    Attributes:
        kernel: Rows, columns.
        stride: Rows, columns.
        padding: Rows, columns.
        connects: (out, in) bool: which input channels an output channel can depend on.
    """

    kernel: Pair
    stride: Pair
    padding: Pair
    connects: NDArray[np.bool_]

    @staticmethod
    def fold(layers: Sequence[PublicLayer]) -> Window | None:
        """Return the convolution that linear layers amount to, or None where they are no single one.

        A padded layer behind another is none: it pads with zeros where the layer before would have given its bias.
        """
        folded: Window | None = None
        for layer in layers:
            if layer.kind not in (Convolution.kind, SumPooling.kind):
                return None
            outputs, inputs = layer.writes[0] // layer.groups, layer.reads[0] // layer.groups
            connects = np.kron(np.eye(layer.groups, dtype=bool), np.ones((outputs, inputs), dtype=bool))
            if folded is None:
                folded = Window(layer.kernel, layer.stride, layer.padding, connects)
                continue
            if any(layer.padding):
                return None
            kernel = [k + (n - 1) * s for k, n, s in zip(folded.kernel, layer.kernel, folded.stride, strict=True)]
            stride = [a * b for a, b in zip(folded.stride, layer.stride, strict=True)]
            folded = Window((kernel[0], kernel[1]), (stride[0], stride[1]), folded.padding, connects @ folded.connects)
        return folded

    def hits(self, axis: int, position: int, outputs: int) -> dict[int, int]:
        """Return {output index: tap} for an input position along an axis (0 rows, 1 columns)."""
        kernel, stride, shifted = self.kernel[axis], self.stride[axis], position + self.padding[axis]
        first = max(0, -(-(shifted - kernel + 1) // stride))
        return {o: shifted - o * stride for o in range(first, min(outputs - 1, shifted // stride) + 1)}

    def positions(self, axis: int, inputs: int, outputs: int) -> list[list[int]]:
        """Return sets of positions along an axis: no two of a set touch one output, and together they show every tap.

        Greedy: the compatible position that shows most new taps first.
        """
        hits = [self.hits(axis, position, outputs) for position in range(inputs)]
        missing = {tap for hit in hits for tap in hit.values()}
        sets: list[list[int]] = []
        while missing:
            chosen: list[int] = []
            taken: set[int] = set()
            while True:
                free = [p for p in range(inputs) if taken.isdisjoint(hits[p])]
                best = max(free, key=lambda p: len(missing & set(hits[p].values())), default=None)
                if best is None or not missing & set(hits[best].values()):
                    break
                chosen.append(best)
                taken |= set(hits[best])
                missing -= set(hits[best].values())
            sets.append(chosen)
        return sets

    def channel_sets(self) -> list[list[int]]:
        """Return sets of input channels that reach no output channel in common; together all channels."""
        sets: list[list[int]] = []
        reached: list[NDArray[np.bool_]] = []
        for channel in range(self.connects.shape[1]):
            column = self.connects[:, channel]
            for index, taken in enumerate(reached):
                if not (taken & column).any():
                    sets[index].append(channel)
                    reached[index] = taken | column
                    break
            else:
                sets.append([channel])
                reached.append(column)
        return sets


@dataclass(frozen=True)
class Operator:
    """A linear map on the grid, solved: either a kernel or a matrix.

    Attributes:
        window: How the kernel slides; None for a matrix.
        weight: (out, in, rows, columns) where there is a window, else (outputs, inputs), on flattened tensors; int64.
        writes: Output shape.
    """

    window: Window | None
    weight: IntArray
    writes: tuple[int, ...]

    def apply(self, grid: IntArray) -> IntArray:
        """Return (batch, *writes) for (batch, *grid) integers; no offset."""
        zeros = np.zeros(len(self.weight), dtype=np.int64)
        if self.window is None:
            product = NumpyOperations().multiply(grid.reshape(len(grid), -1), self.weight, zeros, bounds=(0, 0))
            return product.reshape(-1, *self.writes)
        return NumpyOperations().convolve(
            grid, self.weight, zeros, stride=self.window.stride, padding=self.window.padding, groups=1, bounds=(0, 0)
        )


@dataclass(frozen=True)
class Probe:
    """Grid cells that one query moves together.

    Attributes:
        channels: Input channels.
        rows: Rows, empty where the map has no window.
        columns: Columns, empty where the map has no window.
        cells: Flat indices of all of them on the grid.
    """

    channels: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    cells: IntArray


@dataclass(frozen=True)
class AffinePlan:
    """The queries that recover linear layers behind an input whose values can be moved one by one.

    The grid is the tensor behind the leading poolings, which hold nothing to learn: a cell of it moves with one of its inputs.

    Attributes:
        shape: Input shape.
        layers: The linear layers.
    """

    shape: tuple[int, ...]
    layers: tuple[PublicLayer, ...]

    @cached_property
    def pools(self) -> tuple[PublicLayer, ...]:
        """The leading poolings."""
        count = next((i for i, layer in enumerate(self.layers) if not layer.public), len(self.layers))
        return self.layers[:count]

    @cached_property
    def rest(self) -> tuple[PublicLayer, ...]:
        """The layers to solve for."""
        return self.layers[len(self.pools) :]

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """Shape in front of ``rest``."""
        return self.pools[-1].writes if self.pools else self.shape

    @cached_property
    def writes(self) -> tuple[int, ...]:
        """Output shape."""
        return self.layers[-1].writes if self.layers else self.shape

    @cached_property
    def window(self) -> Window | None:
        """How the kernel of ``rest`` slides, if it has one."""
        return Window.fold(self.rest)

    @cached_property
    def probes(self) -> tuple[Probe, ...]:
        """What to move, a query each; the query that moves nothing is not among them."""
        if not self.rest:
            return ()
        if self.window is None:
            per_channel = math.prod(self.grid[1:])
            return tuple(
                Probe((index // per_channel,), (), (), np.array([index])) for index in range(math.prod(self.grid))
            )
        indices = np.arange(math.prod(self.grid)).reshape(self.grid)
        return tuple(
            Probe(tuple(channels), tuple(rows), tuple(columns), indices[np.ix_(channels, rows, columns)].ravel())
            for channels in self.window.channel_sets()
            for rows in self.window.positions(0, self.grid[1], self.writes[1])
            for columns in self.window.positions(1, self.grid[2], self.writes[2])
        )

    def queries(self, low: int, high: int) -> int:
        """Return how many queries recover the map for inputs in [low, high].

        0 where nothing is to be learned, else one more than the probes; 1 where the input cannot move.
        """
        if not self.rest:
            return 0
        return 1 + (len(self.probes) if low < high else 0)

    def pool(self, values: IntArray) -> IntArray:
        """Run the leading poolings on (batch, *shape) integers."""
        for layer in self.pools:
            values = NumpyOperations().sum_windows(values, layer.kernel, layer.stride, bounds=(0, 0))
        return values

    @cached_property
    def cell_inputs(self) -> IntArray:
        """(cells,) int64: for each flat cell of the grid, the flat index of one input that moves it and no other."""
        indices = np.arange(math.prod(self.shape)).reshape(self.shape)
        for layer in self.pools:
            indices = indices[:, :: layer.stride[0], :: layer.stride[1]][:, : layer.writes[1], : layer.writes[2]]
        return indices.ravel()

    def solve(self, responses: IntArray) -> Operator:
        """Return the linear map behind ``rest``.

        Args:
            responses: (probes, *writes) int64, by how much each probe changed the answer for a step of 1.
        """
        if self.window is None:
            return Operator(None, responses.reshape(len(responses), -1).T, self.writes)
        window = self.window
        weight = np.zeros((*window.connects.shape, *window.kernel), dtype=np.int64)
        hits = [
            [window.hits(axis, position, self.writes[axis + 1]) for position in range(self.grid[axis + 1])]
            for axis in (0, 1)
        ]
        for probe, response in zip(self.probes, responses, strict=True):
            rows = [pair for row in probe.rows for pair in hits[0][row].items()]
            columns = [pair for column in probe.columns for pair in hits[1][column].items()]
            seen = response[:, [o for o, _ in rows]][:, :, [o for o, _ in columns]]
            for channel in probe.channels:
                outputs = np.flatnonzero(window.connects[:, channel])
                taps = np.ix_(*map(np.asarray, (outputs, [channel], [t for _, t in rows], [t for _, t in columns])))
                weight[taps] = seen[outputs][:, None]
        return Operator(window, weight, self.writes)
