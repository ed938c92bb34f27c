"""What every layer of an integer program has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from cryptml.networks.extent import Extent, IntArray
from cryptml.networks.operations import Operations

TensorT = TypeVar("TensorT")

MAX_TABLE_BITS = 16
"""Widest table input, in bits, that Concrete 2.10 compiles."""


@dataclass(frozen=True, repr=False)
class Layer(ABC):
    """One placeable unit of a network, on integers.

    Attributes:
        name: Unique within the network.
    """

    name: str
    kind: ClassVar[str]
    linear: ClassVar[bool] = True
    """Whether the layer is an affine map, which a curious client can solve for."""

    def __repr__(self) -> str:
        """Return what a person wants to see: shapes of arrays, not their values."""
        shown = {each.name: getattr(self, each.name) for each in fields(self)}
        told = (f"{name}={_brief(value)}" for name, value in shown.items())
        return f"{type(self).__name__}({', '.join(told)})"

    @abstractmethod
    def forward(self, x: TensorT, extent: Extent, operations: Operations[TensorT], bounds: tuple[int, int]) -> TensorT:
        """Run the layer on (batch, *extent.shape) values that keep within ``extent``.

        ``bounds`` are the smallest and the largest result that whatever comes next tells apart.
        """

    @abstractmethod
    def propagate(self, extent: Extent) -> Extent:
        """Return what can leave the layer when ``extent`` enters it, exact in the worst case.

        Raises:
            NetworkError: If the layer does not accept that shape or range.
        """

    def distinguished(self, extent: Extent) -> tuple[int, int]:
        """Return the smallest and the largest value of ``extent`` that the layer tells from those beyond: mostly all of it."""
        return extent.bounds

    def bootstraps(self, extent: Extent) -> int:  # noqa: ARG002
        """Return the programmable bootstraps for one input: the price of the layer under encryption."""
        return 0

    def table_bits(self, extent: Extent) -> int:  # noqa: ARG002
        """Return the width of the widest table input, 0 where there is none."""
        return 0

    def products(self, extent: Extent) -> int:  # noqa: ARG002
        """Return the multiplications and additions for one input in the clear: what a client computes, and holds at most at once."""
        return 0

    @property
    def rounds(self) -> bool:
        """Whether a table of the layer drops bits of its input, which a circuit does only approximately."""
        return False

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Number of learned integers: weights, biases, table entries."""

    @abstractmethod
    def attributes(self) -> dict[str, Any]:
        """Return the JSON values that describe the layer beside its tensors."""

    @abstractmethod
    def tensors(self) -> dict[str, IntArray]:
        """Return the integer tensors of the layer by their short names."""

    @classmethod
    @abstractmethod
    def restore(cls, name: str, attributes: Mapping[str, Any], tensors: Mapping[str, IntArray]) -> Layer:
        """Build the layer again from `attributes` and `tensors`.

        Raises:
            NetworkError: If they contradict each other.
        """


def as_integers(array: NDArray[Any]) -> IntArray:
    """Return a read-only int64 copy, so that a frozen layer stays as it was made."""
    integers: IntArray = np.array(array, dtype=np.int64)
    integers.setflags(write=False)
    return integers


def _brief(value: object) -> str:
    if not isinstance(value, np.ndarray):
        return repr(value)
    return f"{value.dtype}[{' x '.join(map(str, value.shape))}]"
