"""The network: a public front end, then layers with integer boundaries between them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from cryptml.errors import NetworkError
from cryptml.networks.bins import Bins
from cryptml.networks.boundary import Boundary, FloatArray
from cryptml.networks.classes import positive_class
from cryptml.networks.extent import IntArray, bits_for
from cryptml.networks.front_ends import FrontEnd
from cryptml.networks.layers import Activation, Layer, extents, run_all
from cryptml.networks.operations import NumpyOperations
from cryptml.splits import Segment


@dataclass(frozen=True, eq=False)
class Network:
    """An integer program: the one definition of a trained network for client, circuit, tests and bundle.

    Attributes:
        name: Lower-case letters, digits, dashes.
        front_end: Runs on the client, in the clear.
        layers: In order, uniquely named.
        boundaries: One more than layers; ``boundaries[i]`` stands before layer i.
        classes: Names of the logits.
        positive: The class that was chosen to be the positive one, if any: see `positive_class`.
    """

    name: str
    front_end: FrontEnd
    layers: tuple[Layer, ...]
    boundaries: tuple[Boundary, ...]
    classes: tuple[str, ...]
    positive: str | None = None

    def __post_init__(self) -> None:
        if not self.layers:
            raise NetworkError(f"network {self.name!r} has no layers; at least one is needed")
        twice = [name for name, count in Counter(layer.name for layer in self.layers).items() if count > 1]
        if twice:
            raise NetworkError(f"network {self.name!r} names layers twice: {', '.join(twice)}; give each its own name")
        if len(self.boundaries) != len(self.layers) + 1:
            raise NetworkError(
                f"network {self.name!r} has {len(self.layers)} layers and {len(self.boundaries)} boundaries; "
                f"expected {len(self.layers) + 1}"
            )
        if self.boundaries[0].shape != self.front_end.shape:
            raise NetworkError(
                f"network {self.name!r}: the front end gives {self.front_end.shape}, "
                f"the first boundary is {self.boundaries[0].shape}"
            )
        for index, layer in enumerate(self.layers):
            extent = layer.propagate(self.boundaries[index].extent())
            after = self.boundaries[index + 1]
            if (extent.shape, extent.low.min(), extent.high.max()) != (after.shape, after.low, after.high):
                raise NetworkError(
                    f"network {self.name!r}: layer {layer.name!r} gives {extent.shape} in "
                    f"[{extent.low.min()}, {extent.high.max()}], its boundary says {after.shape} in [{after.low}, {after.high}]"
                )
        if (len(self.classes),) != after.shape or len(self.classes) < 2:
            raise NetworkError(
                f"network {self.name!r} ends in shape {after.shape} for {len(self.classes)} classes; "
                "one value a class and two classes are needed"
            )
        positive_class(self.classes, self.positive, f"network {self.name!r}", NetworkError)

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def positive_class(self) -> str | None:
        """The class that a probability is said of; of two classes the second, where none was chosen; of more classes none."""
        return positive_class(self.classes, self.positive, f"network {self.name!r}", NetworkError)

    @property
    def parameters(self) -> int:
        """Number of learned integers in all layers."""
        return sum(layer.parameters for layer in self.layers)

    def segment_layers(self, segment: Segment) -> tuple[Layer, ...]:
        """Return the layers of a segment.

        Raises:
            NetworkError: If it reaches past the last layer.
        """
        if segment.stop > len(self):
            raise NetworkError(f"segment {segment} reaches past the {len(self)} layers of network {self.name!r}")
        return self.layers[segment.start : segment.stop]

    def is_linear(self, segment: Segment) -> bool:
        """Return whether a segment is an affine map: no bootstraps, and solvable by a client who decrypts it."""
        return all(layer.linear for layer in self.segment_layers(segment))

    def bootstraps(self, segment: Segment) -> int:
        """Return the programmable bootstraps that a segment costs for one input."""
        layers = self.segment_layers(segment)
        return sum(
            layer.bootstraps(entering) for layer, entering in extents(layers, self.boundaries[segment.start].extent())
        )

    def table_bits(self, segment: Segment) -> int:
        """Return the width in bits of a segment's widest table input, 0 where it is linear."""
        layers, bins = self.segment_layers(segment), self.entering_bins(segment)
        widths = [
            layer.table_bits(entering) for layer, entering in extents(layers, self.boundaries[segment.start].extent())
        ]
        # A client numbers the bins of both signs apart.
        return max([*widths, 0 if bins is None else bits_for(0, bins.numbers - 1)])

    def is_approximate(self, segment: Segment) -> bool:
        """Return whether an encrypted evaluation of a segment rounds, and so may differ a little from the clear one.

        A table at the segment's beginning does not count: see `entering_bins`.
        """
        return any(layer.rounds for layer in self.segment_layers(segment)[self.entering_bins(segment) is not None :])

    def entering_bins(self, segment: Segment) -> Bins | None:
        """Return the bins that a client puts its values into in front of an encrypted segment: exactly, because it knows them.

        None where the segment does not begin with a table that rounds, clamps or is negacyclic.
        """
        first = self.segment_layers(segment)[0]
        if not isinstance(first, Activation) or not (first.dropped_bits or first.clamps or first.negacyclic):
            return None
        return first.bins

    def quantise(self, regions: FloatArray) -> IntArray:
        """Return (batch, *boundaries[0].shape) int64 for (batch, side, side) regions in [0, 1]."""
        return self.boundaries[0].quantise(self.front_end.apply(regions))

    def run(self, x: IntArray, segment: Segment | None = None) -> IntArray:
        """Run a segment (all layers if None) in the clear.

        Args:
            x: (batch, *boundaries[start].shape) int64.
            segment: Which layers.

        Returns:
            (batch, *boundaries[stop].shape) int64.

        Raises:
            NetworkError: If ``x`` has another shape or leaves the boundary's range.
        """
        segment = segment or Segment(0, len(self))
        layers = self.segment_layers(segment)
        violation = self.boundaries[segment.start].describe_violation(x)
        if violation:
            raise NetworkError(f"input of segment {segment} of network {self.name!r} has {violation}")
        return run_all(layers, x, self.boundaries[segment.start].extent(), NumpyOperations())

    def logits(self, regions: FloatArray) -> FloatArray:
        """Return (batch, classes) float32 for (batch, side, side) regions: the unsplit network in the clear."""
        return self.logits_from(self.front_end.apply(regions))

    def logits_from(self, features: FloatArray) -> FloatArray:
        """Return (batch, classes) float32 for (batch, *front_end.shape) float32 behind the front end."""
        return self.boundaries[-1].dequantise(self.run(self.boundaries[0].quantise(features)))


def probabilities(logits: FloatArray) -> FloatArray:
    """Return the softmax of (batch, classes) logits, float32 rows that sum to 1."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
