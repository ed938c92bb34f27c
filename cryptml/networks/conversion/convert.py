"""Turn the stages of a trained Brevitas network into integer layers and boundaries."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from cryptml.errors import NetworkError, Problem
from cryptml.networks.bins import Bins
from cryptml.networks.boundary import Boundary, FloatArray
from cryptml.networks.conversion.grid import Reals, to_boundary
from cryptml.networks.conversion.stages import Stage, read_branch, read_stages
from cryptml.networks.conversion.tables import grid_of, reals_of, require_plain_rounding, with_table
from cryptml.networks.extent import IntArray
from cryptml.networks.front_ends import FrontEnd
from cryptml.networks.layers import MAX_TABLE_BITS, Convolution, Layer, Linear, Residual, SumPooling
from cryptml.networks.modules.binned_linear import BinnedLinear
from cryptml.networks.modules.blocks import ResidualBlock, value_of
from cryptml.networks.modules.rounded_accumulator import BinnedAccumulator, IntegerBins
from cryptml.networks.network import Network


def convert(module: nn.Sequential, *, name: str, front_end: FrontEnd, classes: Sequence[str]) -> Network:
    """Return the integer program of a trained network.

    Weights become integers. Everything between two linear layers becomes one table a channel, made by evaluating the
    trained modules on every accumulator value that can occur, or on the middle of every bin where accumulators are rounded.
    A float bias and the ends of bins are rounded to the accumulator's grid, the only step that is not exact: a bias moves a
    result by half a grid step at most, a step that the training can foresee with `brevitas.quant.Int32Bias`. Accumulators
    that a table or the client reads are shifted to start at 0.

    Args:
        module: Trained; its state is not changed but for evaluation mode.
        name: Of the network.
        front_end: Gives the shape of the first boundary.
        classes: Names of the outputs, in their order.

    Raises:
        NetworkError: With every reason why it cannot be cut or compiled.
    """
    module.eval()
    with torch.no_grad():
        module(torch.zeros(1, *front_end.shape))  # lets pruned and lazily scaled layers settle
        grid, stages = read_stages(module)
        scale, low, high = grid_of(grid)
        first = Boundary(front_end.shape, low, high, (scale,))
        require_plain_rounding(grid, first)
        layers, boundaries = _convert_stages(stages, first, ends_on_grid=False)
    return Network(name, front_end, tuple(layers), tuple(boundaries), tuple(classes))


def largest_difference(module: nn.Sequential, network: Network, regions: FloatArray) -> float:
    """Return the largest difference of a logit between the Brevitas network and its integer program.

    Args:
        module: What was converted.
        network: What came of it.
        regions: (batch, side, side) float32 in [0, 1].
    """
    module.eval()
    with torch.no_grad():
        expected = value_of(module(torch.from_numpy(network.front_end.apply(regions)))).numpy()
    return float(np.abs(expected - network.logits(regions)).max())


def _convert_stages(
    stages: Sequence[Stage], first: Boundary, *, ends_on_grid: bool
) -> tuple[list[Layer], list[Boundary]]:
    layers: list[Layer] = []
    boundaries = [first]
    problems: list[Problem] = []
    bins: IntegerBins | None = None
    for index, stage in enumerate(stages):
        shifted = _feeds_table(stages, index, ends_on_grid=ends_on_grid)
        try:
            if stage.kind != "activation":
                bins = _bins_behind(stages, index, boundaries[-1])
            layer, after = _convert_stage(stage, boundaries[-1], shifted=shifted, bins=bins)
        except NetworkError as error:
            problems += error.problems or [Problem(stage.name, str(error), "change the layers' sizes so that they fit")]
            break  # what follows has no boundary to stand on
        if stage.kind == "activation":
            bins = None  # they were of the accumulators that this table read
        layers.append(layer)
        boundaries.append(after)
    if problems:
        raise NetworkError("the network cannot be compiled:", problems)
    return layers, boundaries


def _convert_stage(
    stage: Stage, before: Boundary, *, shifted: bool, bins: IntegerBins | None
) -> tuple[Layer, Boundary]:
    match stage.kind:
        case "convolution" | "linear":
            return _convert_affine(stage, before, shifted=shifted, bins=bins)
        case "pooling":
            return _convert_pooling(stage, before)
        case "activation":
            return _convert_activation(stage, before, bins)
        case _:
            return _convert_residual(stage, before)


def _bins_behind(stages: Sequence[Stage], index: int, before: Boundary) -> IntegerBins | None:
    """Return the bins that round the accumulators of stage ``index``, None where nothing does."""
    rounding = stages[index + 1].modules[0] if index + 1 < len(stages) else None
    layer = stages[index].modules[0]
    if isinstance(layer, BinnedLinear) and layer.bins is not rounding:
        problem = Problem(
            stages[index].name,
            "its scales follow another accumulator than the one behind it",
            "put the module that it was given as bins directly behind it, and copy both together",
        )
        raise NetworkError("", [problem])
    return rounding.integer_bins(_step(stages[index], before)) if isinstance(rounding, BinnedAccumulator) else None


def _step(stage: Stage, before: Boundary) -> Reals:
    """Return what accumulators of a convolution or linear layer count in: 1 or (channels,) real numbers."""
    in_scale = np.asarray(before.scale)
    if in_scale.size != 1 or any(before.zero):
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
    return in_scale * weight_scale


def _convert_affine(
    stage: Stage, before: Boundary, *, shifted: bool, bins: IntegerBins | None
) -> tuple[Layer, Boundary]:
    module = stage.modules[0]
    scale = _step(stage, before)
    weight = module.quant_weight().int().numpy().astype(np.int64)
    bias = np.zeros(len(weight), np.int64)
    if module.bias is not None:
        bias = np.rint(module.bias.detach().numpy().astype(np.float64) / scale).astype(np.int64)
    if bins is not None:
        weight = weight * bins.factor.reshape(-1, *[1] * (weight.ndim - 1))
        bias = bias * bins.factor
        scale = scale / bins.factor

    def layer_with(bias: IntArray) -> Layer:
        if stage.kind == "linear":
            return Linear(stage.name, weight, bias)
        return Convolution(stage.name, weight, bias, _pair(module.stride), _pair(module.padding), int(module.groups))

    layer = layer_with(bias)
    zero = np.zeros(1, np.int64)
    if bins is not None:
        zero = bins.shift
        layer = layer_with(bias + zero)
    elif shifted:
        zero = -layer.propagate(before.extent()).low
        layer = layer_with(bias + zero)
    return layer, to_boundary(layer, before, scale, zero)


def _convert_pooling(stage: Stage, before: Boundary) -> tuple[Layer, Boundary]:
    module = stage.modules[0]
    layer = SumPooling(stage.name, _pair(module.kernel_size), _pair(module.stride))
    window = math.prod(layer.kernel)
    return layer, to_boundary(layer, before, np.asarray(before.scale) / window, np.asarray(before.zero) * window)


def _convert_activation(stage: Stage, before: Boundary, rounded: IntegerBins | None) -> tuple[Layer, Boundary]:
    if rounded is not None:
        bins = Bins(0, rounded.count, rounded.dropped_bits, rounded.negacyclic)
        numbers = np.arange(bins.numbers)
        rounding = stage.modules[0]
        if isinstance(rounding, BinnedAccumulator) and (rounding.ready or bins.negacyclic):
            return with_table(stage, before, bins, rounding.centres(numbers))
        return with_table(stage, before, bins, reals_of(numbers * bins.width + (bins.width - 1) / 2, before))
    if before.bits > MAX_TABLE_BITS:
        raise NetworkError(
            "",
            [
                Problem(
                    stage.name,
                    f"its input needs {before.bits} bits where a table of Concrete has {MAX_TABLE_BITS} at most",
                    "use fewer weights a neuron, fewer weight bits or fewer input bits before it",
                )
            ],
        )
    bins = Bins(before.low, before.high - before.low + 1)
    return with_table(stage, before, bins, reals_of(np.arange(before.low, before.high + 1), before))


def _convert_residual(stage: Stage, before: Boundary) -> tuple[Layer, Boundary]:
    block = stage.modules[0]
    if not isinstance(block, ResidualBlock):
        raise TypeError(type(block).__name__)
    branches = {}
    for branch in ("body", "shortcut"):
        branches[branch] = _convert_stages(read_branch(block, branch), before, ends_on_grid=True)
    (body, body_boundaries), (shortcut, shortcut_boundaries) = branches["body"], branches["shortcut"]
    if body_boundaries[-1].scale != shortcut_boundaries[-1].scale:
        raise NetworkError(f"block {stage.name!r} adds two grids; end both branches with one quantiser")
    layer = Residual(stage.name, tuple(body), tuple(shortcut))
    return layer, to_boundary(layer, before, np.asarray(body_boundaries[-1].scale), np.zeros(1, np.int64))


def _feeds_table(stages: Sequence[Stage], index: int, *, ends_on_grid: bool) -> bool:
    """Whether what leaves stage ``index`` reaches a table or the network's end through poolings alone."""
    for stage in stages[index + 1 :]:
        if stage.kind == "activation":
            return True
        if stage.kind != "pooling":
            return False
    return not ends_on_grid


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))
