"""A residual block: two branches of one input, added. It cannot be cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cryptml.errors import NetworkError
from cryptml.networks.extent import Extent, IntArray
from cryptml.networks.layers.base import Layer, TensorT
from cryptml.networks.layers.chain import extents, propagate_all, run_all
from cryptml.networks.operations import Operations


@dataclass(frozen=True, eq=False, repr=False)
class Residual(Layer):
    """``body(x) + shortcut(x)``; both branches end on one integer grid.

    Attributes:
        body: The layers of the long branch.
        shortcut: The layers of the short one; empty for the identity.
    """

    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...]
    kind: ClassVar[str] = "residual"
    linear: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for branch, layers in (("body", self.body), ("shortcut", self.shortcut)):
            names = [layer.name for layer in layers]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise NetworkError(
                    f"layer {self.name!r} names layers of its {branch} twice: {', '.join(twice)}; give each its own name"
                )
            first = layers[0] if layers else None
            if first and (first.rounds or getattr(first, "clamps", False) or getattr(first, "negacyclic", False)):
                raise NetworkError(
                    f"layer {self.name!r} begins its {branch} with {layers[0].name!r}, which rounds, clamps or turns what the block reads; "
                    "put a convolution or a linear layer before it"
                )

    def forward(self, x: TensorT, extent: Extent, operations: Operations[TensorT], bounds: tuple[int, int]) -> TensorT:
        """See `Layer.forward`."""
        body = run_all(self.body, x, extent, operations)
        return operations.add(body, run_all(self.shortcut, x, extent, operations), bounds=bounds)

    def propagate(self, extent: Extent) -> Extent:
        """See `Layer.propagate`."""
        body, shortcut = propagate_all(self.body, extent), propagate_all(self.shortcut, extent)
        if body.shape != shortcut.shape:
            raise NetworkError(
                f"layer {self.name!r} adds {body.shape} and {shortcut.shape}; both branches must end in one shape"
            )
        return Extent(body.shape, body.low + shortcut.low, body.high + shortcut.high)

    def bootstraps(self, extent: Extent) -> int:
        """See `Layer.bootstraps`."""
        branches = (self.body, self.shortcut)
        return sum(layer.bootstraps(entering) for branch in branches for layer, entering in extents(branch, extent))

    def table_bits(self, extent: Extent) -> int:
        """See `Layer.table_bits`."""
        branches = (self.body, self.shortcut)
        widths = [layer.table_bits(entering) for branch in branches for layer, entering in extents(branch, extent)]
        return max(widths, default=0)

    def products(self, extent: Extent) -> int:
        """See `Layer.products`."""
        branches = (self.body, self.shortcut)
        return sum(layer.products(entering) for branch in branches for layer, entering in extents(branch, extent))

    @property
    def rounds(self) -> bool:
        """See `Layer.rounds`."""
        return any(layer.rounds for layer in (*self.body, *self.shortcut))

    @property
    def parameters(self) -> int:
        """See `Layer.parameters`."""
        return sum(layer.parameters for layer in (*self.body, *self.shortcut))

    def attributes(self) -> dict[str, Any]:
        """See `Layer.attributes`."""
        return {
            branch: [{"name": layer.name, "kind": layer.kind, **layer.attributes()} for layer in layers]
            for branch, layers in (("body", self.body), ("shortcut", self.shortcut))
        }

    def tensors(self) -> dict[str, IntArray]:
        """See `Layer.tensors`; the branch and the layer's name stand before each tensor's name."""
        return {
            f"{branch}.{layer.name}.{name}": tensor
            for branch, layers in (("body", self.body), ("shortcut", self.shortcut))
            for layer in layers
            for name, tensor in layer.tensors().items()
        }

    @classmethod
    def restore(cls, name: str, attributes: Mapping[str, Any], tensors: Mapping[str, IntArray]) -> Residual:
        """See `Layer.restore`."""
        from cryptml.networks.layers.registry import restore_layer  # a block holds any kind of layer, itself included

        branches = {}
        for branch in ("body", "shortcut"):
            prefix = f"{branch}."
            inner = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            branches[branch] = tuple(restore_layer(entry, inner) for entry in attributes[branch])
        return cls(name, branches["body"], branches["shortcut"])
