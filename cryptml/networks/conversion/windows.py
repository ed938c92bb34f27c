"""Convolutions and poolings of one or two axes as windows over (channels, rows, columns)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import nn

from cryptml.errors import NetworkError, Problem
from cryptml.networks.conversion.checks import adaptive_size, as_pair
from cryptml.networks.extent import IntArray

Shape = tuple[int, ...]
Pair = tuple[int, int]
Pads = tuple[Pair, Pair]
"""Zeros before and behind the rows, and the columns."""

NO_PADS: Pads = ((0, 0), (0, 0))


def spread(shape: Shape) -> Shape:
    """Return (channels, length) as one row of columns; any other shape as it is."""
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape


@dataclass(frozen=True)
class SlidingWindow:
    """How a module walks over its input.

    Attributes:
        kernel: Rows, columns.
        stride: Rows, columns.
        padding: Rows, columns, the same at both ends.
    """

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)


def pooling_window(module: nn.Module, reads: Shape | None) -> SlidingWindow:
    """Return the window of an average or a maximum; of one axis, a window of one row."""
    wanted = adaptive_size(module, reads) if hasattr(module, "output_size") else None
    if wanted is not None and reads is not None:
        kernel = tuple(has // wants for has, wants in zip(reads[1:], wanted, strict=True))
        return SlidingWindow(as_pair(kernel), as_pair(kernel))
    one_axis = isinstance(module, (nn.AvgPool1d, nn.MaxPool1d))
    kernel, stride, padding = (_axes(value, one_axis) for value in (module.kernel_size, module.stride, module.padding))
    return SlidingWindow(kernel, stride, (0, padding[1]) if one_axis else padding)


def _axes(value: int | tuple[int, ...], one_axis: bool) -> Pair:
    if one_axis:
        return 1, int(value[0]) if isinstance(value, tuple) else value
    return as_pair(value)


def convolution_window(
    name: str, module: nn.Module, weight: IntArray, reads: Shape | None, pads: Pads
) -> tuple[IntArray, SlidingWindow]:
    """Return weights (out, in / groups, rows, columns) and the window of a convolution that pads both ends alike and is dense.

    A dilated kernel is one with zeros between its taps, and zeros at one end of an axis alone are a kernel with zeros at its other
    end: taps of 0 cost nothing.

    Args:
        name: Of the layer.
        module: A quantised convolution.
        weight: Its integers, as the module has them.
        reads: What the module reads; None if that is not known.
        pads: Zeros that a module in front adds.

    Raises:
        NetworkError: If its padding depends on a size that is not known.
    """
    one_axis = weight.ndim == 3
    dense = _dilated(weight[:, :, None] if one_axis else weight, _two(module.dilation))
    stride = _two(module.stride)
    sides = []
    for axis in (0, 1):
        before, behind = pads[axis]
        own = _own_padding(name, module, axis - one_axis, dense.shape[2 + axis], stride[axis], reads)
        sides.append((before + own[0], behind + own[1]))
    if one_axis:
        sides[0] = pads[0]
    padding = (max(sides[0]), max(sides[1]))
    ends = [(padding[axis] - sides[axis][0], padding[axis] - sides[axis][1]) for axis in (0, 1)]
    kernel = np.pad(dense, ((0, 0), (0, 0), *ends))
    return kernel, SlidingWindow((kernel.shape[2], kernel.shape[3]), stride, padding)


def _own_padding(name: str, module: nn.Module, axis: int, length: int, stride: int, reads: Shape | None) -> Pair:
    """Return the zeros before and behind one axis of a module's own; ``length`` is that of its dense kernel."""
    if axis < 0:
        return 0, 0
    if getattr(module, "is_same_padded_strided", False):
        if reads is None:
            raise NetworkError("", [same_padding_problem(name, module)])
        has = reads[1 + axis]
        total = max((math.ceil(has / stride) - 1) * stride + length - has, 0)
    elif module.padding == "same":
        total = length - 1
    elif module.padding == "valid":
        total = 0
    else:
        return (int(module.padding[axis]),) * 2
    return total // 2, total - total // 2


def same_padding_problem(where: str, module: nn.Module) -> Problem:
    """Say that a strided padding cannot be told without a size."""
    return Problem(
        where,
        f"with stride {module.stride} the zeros of its padding 'same' depend on the size of its input, which is not known here",
        "write the padding as a number, or convert the network as a whole",
    )


def _dilated(weight: IntArray, dilation: Pair) -> IntArray:
    outputs, inputs, rows, columns = weight.shape
    shape = (outputs, inputs, (rows - 1) * dilation[0] + 1, (columns - 1) * dilation[1] + 1)
    found = np.zeros(shape, np.int64)
    found[:, :, :: dilation[0], :: dilation[1]] = weight
    return found


def _two(value: tuple[int, ...]) -> Pair:
    return (1, int(value[0])) if len(value) == 1 else (int(value[0]), int(value[1]))
