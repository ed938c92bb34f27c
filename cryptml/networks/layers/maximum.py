"""Max pooling: encrypted maxima, one table a comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cryptml.errors import NetworkError
from cryptml.networks.extent import Extent, IntArray, bits_for
from cryptml.networks.layers.base import Layer, TensorT
from cryptml.networks.operations import Operations


@dataclass(frozen=True, eq=False, repr=False)
class MaxPooling(Layer):
    """Largest value of each window of each channel.

    Two values are compared by one table: the larger of a and b is ``b + max(a - b, 0)``, whose table reads one bit more than the values
    have. Windows are compared along their columns first, then along their rows. What lies beyond the edges counts as the least that can
    occur.

    Attributes:
        kernel: Rows, columns of a window.
        stride: Rows, columns from one window to the next.
        padding: Rows, columns beyond each edge, at most half a window.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    kind: ClassVar[str] = "maximum"
    linear: ClassVar[bool] = False

    def __post_init__(self) -> None:
        halves = (self.kernel[0] // 2, self.kernel[1] // 2)
        if min(self.kernel) < 1 or min(self.stride) < 1 or min(self.padding) < 0:
            raise NetworkError(
                f"layer {self.name!r} has kernel {self.kernel}, stride {self.stride}, padding {self.padding}; kernels and strides start "
                "at 1, padding at 0"
            )
        if self.padding[0] > halves[0] or self.padding[1] > halves[1]:
            raise NetworkError(f"layer {self.name!r} pads by {self.padding}; pad by {halves}, half a window, at most")

    def forward(
        self,
        x: TensorT,
        extent: Extent,
        operations: Operations[TensorT],
        bounds: tuple[int, int],  # noqa: ARG002
    ) -> TensorT:
        """See `Layer.forward`."""
        return operations.max_windows(x, self.kernel, self.stride, self.padding, extent.bounds)

    def propagate(self, extent: Extent) -> Extent:
        """See `Layer.propagate`."""
        return Extent(self._output(extent), extent.low, extent.high)

    def _output(self, extent: Extent) -> tuple[int, int, int]:
        if len(extent.shape) != 3:
            raise NetworkError(f"layer {self.name!r} takes (channels, rows, columns) but gets {extent.shape}")
        channels, *lengths = extent.shape
        rows, columns = (
            (length + 2 * padding - kernel) // stride + 1
            for length, kernel, stride, padding in zip(lengths, self.kernel, self.stride, self.padding, strict=True)
        )
        if rows < 1 or columns < 1:
            raise NetworkError(f"layer {self.name!r} has a window {self.kernel} larger than its input {extent.shape}")
        return channels, rows, columns

    def bootstraps(self, extent: Extent) -> int:
        """See `Layer.bootstraps`: one a comparison."""
        channels, rows, columns = self._output(extent)
        read = extent.shape[1] + 2 * self.padding[0]
        return channels * columns * (read * (self.kernel[1] - 1) + rows * (self.kernel[0] - 1))

    def table_bits(self, extent: Extent) -> int:
        """See `Layer.table_bits`: those of a difference."""
        low, high = extent.bounds
        return bits_for(0, 2 * (high - low)) if max(self.kernel) > 1 else 0

    def products(self, extent: Extent) -> int:
        """See `Layer.products`."""
        return math.prod((*self._output(extent), *self.kernel))

    @property
    def parameters(self) -> int:
        """See `Layer.parameters`."""
        return 0

    def attributes(self) -> dict[str, Any]:
        """See `Layer.attributes`."""
        return {"kernel": list(self.kernel), "stride": list(self.stride), "padding": list(self.padding)}

    def tensors(self) -> dict[str, IntArray]:
        """See `Layer.tensors`."""
        return {}

    @classmethod
    def restore(cls, name: str, attributes: Mapping[str, Any], tensors: Mapping[str, IntArray]) -> MaxPooling:  # noqa: ARG003
        """See `Layer.restore`."""
        kernel, stride, padding = (tuple(attributes[each]) for each in ("kernel", "stride", "padding"))
        return cls(name, kernel, stride, padding)
