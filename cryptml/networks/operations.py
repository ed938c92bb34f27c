"""The few integer operations that layers are made of, and their execution on NumPy.

A layer is written once, against `Operations`. The client and the tests run it on NumPy integers, a compiler back end traces
it into a circuit; both see the same definition.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cryptml.networks.bins import Bins
from cryptml.networks.extent import IntArray

TensorT = TypeVar("TensorT")


class Operations(Protocol[TensorT]):
    """What an executor offers; tensors carry a leading batch axis."""

    def convolve(
        self,
        x: TensorT,
        weight: IntArray,
        bias: IntArray,
        *,
        stride: tuple[int, int],
        padding: tuple[int, int],
        groups: int,
        bounds: tuple[int, int],
    ) -> TensorT:
        """Cross-correlate (batch, in, rows, columns) with (out, in / groups, height, width), zero padded, plus a bias a channel.

        ``bounds`` are the smallest and the largest result that whatever reads it tells apart; a circuit reserves no
        more, NumPy ignores them.
        """
        ...

    def multiply(self, x: TensorT, weight: IntArray, bias: IntArray, *, bounds: tuple[int, int]) -> TensorT:
        """Return ``x @ weight.T + bias`` for (batch, in) and (out, in); ``bounds`` as in `convolve`."""
        ...

    def sum_windows(
        self, x: TensorT, kernel: tuple[int, int], stride: tuple[int, int], *, bounds: tuple[int, int]
    ) -> TensorT:
        """Sum every window of each channel of (batch, channels, rows, columns); ``bounds`` as in `convolve`."""
        ...

    def max_windows(
        self,
        x: TensorT,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int],
        extent: tuple[int, int],
    ) -> TensorT:
        """Return the largest value of every window of each channel of (batch, channels, rows, columns).

        ``extent`` are the least and the largest value that can occur; the least stands beyond the edges.
        """
        ...

    def look_up(self, x: TensorT, tables: IntArray, bins: Bins) -> TensorT:
        """Replace each value of channel c by ``tables[c, bin]``; tables are (1 or channels, bins.count)."""
        ...

    def flatten(self, x: TensorT) -> TensorT:
        """Reshape (batch, ...) to (batch, features), last axis fastest."""
        ...

    def arrange(self, x: TensorT, shape: tuple[int, ...]) -> TensorT:
        """Reshape (batch, ...) to (batch, *shape), last axis fastest."""
        ...

    def add(self, x: TensorT, y: TensorT, *, bounds: tuple[int, int]) -> TensorT:
        """Add two tensors of one shape; ``bounds`` as in `convolve`."""
        ...


class NumpyOperations:
    """Exact execution on int64 arrays."""

    def convolve(
        self,
        x: IntArray,
        weight: IntArray,
        bias: IntArray,
        *,
        stride: tuple[int, int],
        padding: tuple[int, int],
        groups: int,
        bounds: tuple[int, int],  # noqa: ARG002
    ) -> IntArray:
        """See `Operations.convolve`."""
        outputs, inputs, height, width = weight.shape
        padded = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
        windows = _windows(padded, (height, width))[:, :, :: stride[0], :: stride[1]]
        batch, _, rows, columns = windows.shape[:4]
        grouped = windows.reshape(batch, groups, inputs, rows, columns, height, width)
        kernels = weight.reshape(groups, outputs // groups, inputs, height, width)
        sums = np.einsum("ngirchw,goihw->ngorc", grouped, kernels, optimize=True)
        return np.asarray(sums.reshape(batch, outputs, rows, columns) + bias[:, None, None], dtype=np.int64)

    def multiply(self, x: IntArray, weight: IntArray, bias: IntArray, *, bounds: tuple[int, int]) -> IntArray:  # noqa: ARG002
        """See `Operations.multiply`."""
        return np.asarray(x @ weight.T + bias, dtype=np.int64)

    def sum_windows(
        self,
        x: IntArray,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        *,
        bounds: tuple[int, int],  # noqa: ARG002
    ) -> IntArray:
        """See `Operations.sum_windows`."""
        windows = _windows(x, kernel)[:, :, :: stride[0], :: stride[1]]
        return np.asarray(windows.sum(axis=(-2, -1)), dtype=np.int64)

    def max_windows(
        self,
        x: IntArray,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int],
        extent: tuple[int, int],
    ) -> IntArray:
        """See `Operations.max_windows`."""
        padded = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2), constant_values=extent[0])
        windows = _windows(padded, kernel)[:, :, :: stride[0], :: stride[1]]
        return np.asarray(windows.max(axis=(-2, -1)), dtype=np.int64)

    def arrange(self, x: IntArray, shape: tuple[int, ...]) -> IntArray:
        """See `Operations.arrange`."""
        return x.reshape(len(x), *shape)

    def look_up(self, x: IntArray, tables: IntArray, bins: Bins) -> IntArray:
        """See `Operations.look_up`."""
        channels = np.arange(x.shape[1]).reshape(1, -1, *[1] * (x.ndim - 2))
        return np.asarray(bins.whole(tables)[channels if len(tables) > 1 else 0, bins.index(x)], dtype=np.int64)

    def flatten(self, x: IntArray) -> IntArray:
        """See `Operations.flatten`."""
        return x.reshape(len(x), -1)

    def add(self, x: IntArray, y: IntArray, *, bounds: tuple[int, int]) -> IntArray:  # noqa: ARG002
        """See `Operations.add`."""
        return x + y


def _windows(x: IntArray, kernel: tuple[int, int]) -> IntArray:
    """Return (batch, channels, rows, columns, *kernel): every window, without a copy."""
    return sliding_window_view(x, kernel, axis=(2, 3))  # type: ignore[call-overload]
