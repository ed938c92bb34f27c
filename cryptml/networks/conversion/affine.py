"""Convolutions, linear layers and averages as integer layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from cryptml.errors import NetworkError, Problem
from cryptml.networks.boundary import Boundary
from cryptml.networks.conversion.grid import Reals, to_boundary
from cryptml.networks.conversion.reading import Stage
from cryptml.networks.conversion.windows import convolution_window, pooling_window, spread
from cryptml.networks.extent import IntArray
from cryptml.networks.layers import Convolution, Layer, Linear, SumPooling
from cryptml.networks.modules.binned_linear import BinnedLinear
from cryptml.networks.modules.rounded_accumulator import BinnedAccumulator, IntegerBins


def bins_behind(stages: Sequence[Stage], index: int, before: Boundary) -> IntegerBins | None:
    """Return the bins that round the accumulators of stage ``index``, None where nothing does.

    Raises:
        NetworkError: If a layer follows the bins of another one.
    """
    behind, granule = rounding_behind(stages, index)
    layer = stages[index].modules[0]
    if isinstance(layer, BinnedLinear) and layer.bins is not behind:
        problem = Problem(
            stages[index].name,
            "its scales follow another accumulator than the one behind it",
            "put the module that it was given as bins directly behind it, and copy both together",
        )
        raise NetworkError("", [problem])
    if stages[index].kind == "pooling" or behind is None:
        return None
    return behind.integer_bins(step_of(stages[index], before) / granule, granule)


def rounding_behind(stages: Sequence[Stage], index: int) -> tuple[BinnedAccumulator | None, int]:
    """Return what rounds the accumulators of a stage, through averages too, and how many of them one average adds up."""
    granule = 1
    for stage in stages[index + 1 :]:
        if stage.kind != "pooling":
            found = stage.modules[0]
            return (found if isinstance(found, BinnedAccumulator) else None), granule
        granule *= math.prod(pooling_window(stage.modules[0], stage.reads).kernel)
    return None, granule


def step_of(stage: Stage, before: Boundary) -> Reals:
    """Return what accumulators of a convolution or linear layer count in: 1 or (channels,) real numbers.

    Raises:
        NetworkError: If it reads accumulators with a scale a channel.
    """
    in_scale = np.asarray(before.scale)
    if len(set(before.scale)) != 1 or any(before.zero):
        raise NetworkError(
            "",
            [
                Problem(
                    stage.name,
                    "it reads accumulators of another linear layer with a scale a channel",
                    "put an activation between them, or give the first weights one scale (PerTensor)",
                )
            ],
        )
    weight_scale: Reals = stage.modules[0].quant_weight().scale.detach().numpy().astype(np.float64).reshape(-1)
    return in_scale[:1] * weight_scale


def convert_affine(
    stage: Stage, before: Boundary, *, shifted: bool, bins: IntegerBins | None, granule: int
) -> tuple[Layer, Boundary]:
    """Return the integer layer of a convolution or a linear layer, and the boundary behind it.

    Args:
        stage: That it comes from.
        before: The boundary that it reads.
        shifted: Whether its accumulators are to start at 0.
        bins: That they are put into.
        granule: How many of them an average behind it adds up.
    """
    module = stage.modules[0]
    scale = step_of(stage, before)
    weight = module.quant_weight().int().numpy().astype(np.int64)
    bias = np.zeros(len(weight), np.int64)
    if module.bias is not None:
        bias = np.rint(module.bias.detach().numpy().astype(np.float64) / scale).astype(np.int64)
    if stage.paired:
        weight, bias, scale = np.concatenate([-weight, weight]), np.concatenate([-bias, bias]), scale / 2
    if bins is not None:
        weight = weight * bins.factor.reshape(-1, *[1] * (weight.ndim - 1))
        bias = bias * bins.factor
        scale = scale / bins.factor
    layer_with = _with_bias(stage, weight, before)
    layer = layer_with(bias)
    zero = np.zeros(1, np.int64)
    if bins is not None:
        zero = bins.shift // granule
        layer = layer_with(bias + zero)
    elif shifted:
        zero = -layer.propagate(before.extent()).low
        layer = layer_with(bias + zero)
    return layer, to_boundary(layer, before, scale, zero)


def _with_bias(stage: Stage, weight: IntArray, before: Boundary) -> Callable[[IntArray], Layer]:
    """Return what makes the layer of a bias."""
    if stage.kind == "linear":
        return lambda bias: Linear(stage.name, weight, bias)
    module = stage.modules[0]
    kernel, window = convolution_window(stage.name, module, weight, stage.reads, stage.pads)
    wanted = before.shape if stage.reads is None else spread(stage.reads)
    reads = None if wanted == before.shape else (wanted[0], wanted[1], wanted[2])
    return lambda bias: Convolution(stage.name, kernel, bias, window.stride, window.padding, int(module.groups), reads)


def convert_pooling(stage: Stage, before: Boundary) -> tuple[Layer, Boundary]:
    """Return the sum of windows that an average is, and the boundary behind it."""
    window = pooling_window(stage.modules[0], stage.reads)
    layer = SumPooling(stage.name, window.kernel, window.stride)
    count = math.prod(layer.kernel)
    return layer, to_boundary(layer, before, np.asarray(before.scale) / count, np.asarray(before.zero) * count)
