"""Average pooling, as a sum: the division moves into the next boundary's scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cryptml.errors import NetworkError
from cryptml.networks.extent import Extent, IntArray
from cryptml.networks.layers.base import Layer, TensorT
from cryptml.networks.operations import Operations


@dataclass(frozen=True, eq=False, repr=False)
class SumPooling(Layer):
    """Sum of each window of each channel.

    Attributes:
        kernel: Rows, columns of a window.
        stride: Rows, columns from one window to the next.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    kind: ClassVar[str] = "pooling"

    def __post_init__(self) -> None:
        if min(self.kernel) < 1 or min(self.stride) < 1:
            raise NetworkError(f"layer {self.name!r} has kernel {self.kernel}, stride {self.stride}; both start at 1")

    def forward(
        self,
        x: TensorT,
        extent: Extent,  # noqa: ARG002
        operations: Operations[TensorT],
        bounds: tuple[int, int],
    ) -> TensorT:
        """See `Layer.forward`."""
        return operations.sum_windows(x, self.kernel, self.stride, bounds=bounds)

    def propagate(self, extent: Extent) -> Extent:
        """See `Layer.propagate`."""
        if len(extent.shape) != 3:
            raise NetworkError(f"layer {self.name!r} takes (channels, rows, columns) but gets {extent.shape}")
        channels, *lengths = extent.shape
        rows, columns = (
            (length - kernel) // stride + 1
            for length, kernel, stride in zip(lengths, self.kernel, self.stride, strict=True)
        )
        if rows < 1 or columns < 1:
            raise NetworkError(f"layer {self.name!r} has a window {self.kernel} larger than its input {extent.shape}")
        window = math.prod(self.kernel)
        return Extent((channels, rows, columns), extent.low * window, extent.high * window)

    def products(self, extent: Extent) -> int:
        """See `Layer.products`."""
        return math.prod((*self.propagate(extent).shape, *self.kernel))

    @property
    def parameters(self) -> int:
        """See `Layer.parameters`."""
        return 0

    def attributes(self) -> dict[str, Any]:
        """See `Layer.attributes`."""
        return {"kernel": list(self.kernel), "stride": list(self.stride)}

    def tensors(self) -> dict[str, IntArray]:
        """See `Layer.tensors`."""
        return {}

    @classmethod
    def restore(cls, name: str, attributes: Mapping[str, Any], tensors: Mapping[str, IntArray]) -> SumPooling:  # noqa: ARG003
        """See `Layer.restore`."""
        return cls(name, tuple(attributes["kernel"]), tuple(attributes["stride"]))
