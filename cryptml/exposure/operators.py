"""Linear maps over a window, and which probes tell their weights apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryptml.exposure.knowledge import Pair, PublicLayer
from cryptml.networks.extent import IntArray
from cryptml.networks.layers import Convolution, SumPooling
from cryptml.networks.operations import NumpyOperations


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
