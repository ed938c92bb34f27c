"""Two-dimensional convolution with integer weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cryptml.errors import NetworkError
from cryptml.networks.extent import Extent, IntArray
from cryptml.networks.layers.affine import weight_and_bias, worst_case
from cryptml.networks.layers.base import Layer, TensorT, as_integers
from cryptml.networks.operations import Operations


@dataclass(frozen=True, eq=False, repr=False)
class Convolution(Layer):
    """Cross-correlation of (channels, rows, columns), zero padded, with a bias a channel.

    Attributes:
        weight: (out, in / groups, height, width) int64.
        bias: (out,) int64; holds the learned bias and the shift that makes accumulators unsigned.
        stride: Rows, columns; 1 or more.
        padding: Zeros added at each side of the rows, of the columns.
        groups: Divides both channel counts.
        reads: (channels, rows, columns) that the values are arranged in first, last axis fastest; None for the shape that they have.
    """

    weight: IntArray
    bias: IntArray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    reads: tuple[int, int, int] | None = None
    kind: ClassVar[str] = "convolution"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", as_integers(self.weight))
        object.__setattr__(self, "bias", as_integers(self.bias))
        if min(self.stride) < 1 or min(self.padding) < 0 or self.groups < 1 or len(self.weight) % self.groups:
            raise NetworkError(
                f"layer {self.name!r} has stride {self.stride}, padding {self.padding} and {self.groups} groups for "
                f"{len(self.weight)} channels; strides start at 1, padding at 0 and groups divide the channels"
            )

    def forward(
        self,
        x: TensorT,
        extent: Extent,  # noqa: ARG002
        operations: Operations[TensorT],
        bounds: tuple[int, int],
    ) -> TensorT:
        """See `Layer.forward`."""
        x = x if self.reads is None else operations.arrange(x, self.reads)
        return operations.convolve(
            x, self.weight, self.bias, stride=self.stride, padding=self.padding, groups=self.groups, bounds=bounds
        )

    def propagate(self, extent: Extent) -> Extent:
        """See `Layer.propagate`; a padded tap may be 0 beside its channel's own range."""
        outputs, inputs, height, width = self.weight.shape
        extent = self._arranged(extent)
        if len(extent.shape) != 3 or extent.shape[0] != inputs * self.groups:
            raise NetworkError(
                f"layer {self.name!r} takes ({inputs * self.groups}, rows, columns) but gets {extent.shape}"
            )
        rows = (extent.shape[1] + 2 * self.padding[0] - height) // self.stride[0] + 1
        columns = (extent.shape[2] + 2 * self.padding[1] - width) // self.stride[1] + 1
        if rows < 1 or columns < 1:
            raise NetworkError(
                f"layer {self.name!r} has a {height}x{width} kernel, larger than its input {extent.shape}"
            )
        low, high = extent.low, extent.high
        if any(self.padding):
            low, high = np.minimum(low, 0), np.maximum(high, 0)
        taps = height * width
        lows, highs = [], []
        for group in range(self.groups):
            part = slice(group * outputs // self.groups, (group + 1) * outputs // self.groups)
            channels = slice(group * inputs, (group + 1) * inputs)
            weight = self.weight[part].reshape(outputs // self.groups, -1)
            bounds = worst_case(
                np.maximum(weight, 0),
                np.minimum(weight, 0),
                self.bias[part],
                np.repeat(low[channels], taps),
                np.repeat(high[channels], taps),
            )
            lows.append(bounds[0])
            highs.append(bounds[1])
        return Extent((outputs, rows, columns), np.concatenate(lows), np.concatenate(highs))

    def _arranged(self, extent: Extent) -> Extent:
        """Return the extent of the values in the shape that is read."""
        if self.reads is None:
            return extent
        if math.prod(self.reads) != math.prod(extent.shape):
            raise NetworkError(f"layer {self.name!r} arranges {extent.shape} as {self.reads}; give as many values")
        low, high = (each.reshape(self.reads) for each in (extent.per_value_low, extent.per_value_high))
        return Extent(self.reads, low.min((1, 2)), high.max((1, 2)))

    def products(self, extent: Extent) -> int:
        """See `Layer.products`."""
        _, rows, columns = self.propagate(extent).shape
        return rows * columns * int(self.weight.size)

    @property
    def parameters(self) -> int:
        """See `Layer.parameters`."""
        return int(self.weight.size + self.bias.size)

    def attributes(self) -> dict[str, Any]:
        """See `Layer.attributes`."""
        arranged = {} if self.reads is None else {"reads": list(self.reads)}
        return {"stride": list(self.stride), "padding": list(self.padding), "groups": self.groups, **arranged}

    def tensors(self) -> dict[str, IntArray]:
        """See `Layer.tensors`."""
        return {"weight": self.weight, "bias": self.bias}

    @classmethod
    def restore(cls, name: str, attributes: Mapping[str, Any], tensors: Mapping[str, IntArray]) -> Convolution:
        """See `Layer.restore`."""
        weight, bias = weight_and_bias(name, tensors, axes=4)
        stride, padding = tuple(attributes["stride"]), tuple(attributes["padding"])
        reads = attributes.get("reads")
        return cls(name, weight, bias, stride, padding, attributes["groups"], None if reads is None else tuple(reads))
