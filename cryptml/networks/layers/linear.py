"""Fully connected layer with integer weights."""

from __future__ import annotations

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
class Linear(Layer):
    """``weight @ x + bias`` on the flattened input.

    Attributes:
        weight: (out, in) int64.
        bias: (out,) int64; holds the learned bias and the shift that makes accumulators unsigned.
    """

    weight: IntArray
    bias: IntArray
    kind: ClassVar[str] = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", as_integers(self.weight))
        object.__setattr__(self, "bias", as_integers(self.bias))

    def forward(
        self,
        x: TensorT,
        extent: Extent,  # noqa: ARG002
        operations: Operations[TensorT],
        bounds: tuple[int, int],
    ) -> TensorT:
        """See `Layer.forward`."""
        return operations.multiply(operations.flatten(x), self.weight, self.bias, bounds=bounds)

    def propagate(self, extent: Extent) -> Extent:
        """See `Layer.propagate`."""
        low, high = extent.per_value_low.ravel(), extent.per_value_high.ravel()
        if low.size != self.weight.shape[1]:
            raise NetworkError(
                f"layer {self.name!r} takes {self.weight.shape[1]} values but gets {low.size} of shape {extent.shape}"
            )
        positive, negative = np.maximum(self.weight, 0), np.minimum(self.weight, 0)
        return Extent((len(self.weight),), *worst_case(positive, negative, self.bias, low, high))

    def products(self, extent: Extent) -> int:  # noqa: ARG002
        """See `Layer.products`."""
        return int(self.weight.size)

    @property
    def parameters(self) -> int:
        """See `Layer.parameters`."""
        return int(self.weight.size + self.bias.size)

    def attributes(self) -> dict[str, Any]:
        """See `Layer.attributes`."""
        return {}

    def tensors(self) -> dict[str, IntArray]:
        """See `Layer.tensors`."""
        return {"weight": self.weight, "bias": self.bias}

    @classmethod
    def restore(cls, name: str, attributes: Mapping[str, Any], tensors: Mapping[str, IntArray]) -> Linear:  # noqa: ARG003
        """See `Layer.restore`."""
        return cls(name, *weight_and_bias(name, tensors, axes=2))
