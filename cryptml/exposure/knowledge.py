"""What a client knows of a segment before it asks anything."""

from __future__ import annotations

from dataclasses import dataclass

from cryptml.networks.boundary import Boundary
from cryptml.networks.layers import Convolution, Layer, Linear, Residual, SumPooling, extents
from cryptml.networks.network import Network
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
        activations: Non-linear layers inside, itself included.
    """

    kind: str
    linear: bool
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1
    activations: int = 0

    @staticmethod
    def of(layer: Layer, reads: tuple[int, ...], writes: tuple[int, ...]) -> PublicLayer:
        """Strip a layer of its learned integers."""
        kernel, stride, padding, groups = (1, 1), (1, 1), (0, 0), 1
        if isinstance(layer, Convolution) and layer.reads is not None:
            return PublicLayer(Linear.kind, True, reads, writes)  # of values in another order: any matrix
        if isinstance(layer, Convolution):
            kernel = (layer.weight.shape[2], layer.weight.shape[3])
            stride, padding, groups = layer.stride, layer.padding, layer.groups
        elif isinstance(layer, SumPooling):
            kernel, stride, groups = layer.kernel, layer.stride, reads[0]
        return PublicLayer(
            layer.kind, layer.linear, reads, writes, kernel, stride, padding, groups, count_bootstraps(layer)
        )

    @property
    def public(self) -> bool:
        """Whether it holds nothing to learn: a pooling whose windows do not overlap, so that its cells move one by one."""
        return self.kind == SumPooling.kind and all(k <= s for k, s in zip(self.kernel, self.stride, strict=True))


def count_bootstraps(layer: Layer) -> int:
    """Return the non-linear layers in a layer, itself included; a residual block counts those of its branches, 1 at least."""
    if isinstance(layer, Residual):
        return max(1, sum(count_bootstraps(inner) for inner in (*layer.body, *layer.shortcut)))
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
    def activations(self) -> int:
        """Non-linear layers."""
        return sum(layer.activations for layer in self.layers)
