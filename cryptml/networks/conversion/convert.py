"""Turn the stages of a trained Brevitas network into integer layers and boundaries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from cryptml.errors import NetworkError, Problem
from cryptml.networks.bins import Bins
from cryptml.networks.boundary import Boundary, FloatArray
from cryptml.networks.conversion.affine import bins_behind, convert_affine, convert_pooling, rounding_behind
from cryptml.networks.conversion.grid import to_boundary
from cryptml.networks.conversion.reading import Stage
from cryptml.networks.conversion.stages import read_branch, read_stages
from cryptml.networks.conversion.tables import grid_of, reals_of, require_plain_rounding, with_table
from cryptml.networks.conversion.windows import pooling_window
from cryptml.networks.front_ends import FrontEnd
from cryptml.networks.layers import MAX_TABLE_BITS, Layer, Linear, MaxPooling, Residual
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
        grid, stages = read_stages(module, front_end.shape)
        scale, low, high = grid_of(grid)
        first = Boundary(front_end.shape, low, high, (scale,))
        require_plain_rounding(grid, first)
        layers, boundaries = _convert_stages(stages, first, ends_on_grid=False)
        _end_flat(layers, boundaries)
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
        try:
            if stage.kind in ("convolution", "linear"):
                bins = bins_behind(stages, index, boundaries[-1])
                layer, after = convert_affine(
                    stage,
                    boundaries[-1],
                    shifted=_feeds_table(stages, index, ends_on_grid=ends_on_grid),
                    bins=bins,
                    granule=rounding_behind(stages, index)[1],
                )
            else:
                layer, after = _convert_stage(stage, boundaries[-1], bins)
        except NetworkError as error:
            problems += error.problems or [Problem(stage.name, str(error), "change the layers' sizes so that they fit")]
            break  # what follows has no boundary to stand on
        if stage.kind not in ("convolution", "linear", "pooling"):
            bins = None  # they were of the accumulators that this table read
        layers.append(layer)
        boundaries.append(after)
    if problems:
        raise NetworkError("the network cannot be compiled:", problems)
    return layers, boundaries


def _end_flat(layers: list[Layer], boundaries: list[Boundary]) -> None:
    """Let a network that ends in one map of a single value a class end in these values."""
    last = boundaries[-1]
    if last.shape[1:] != (1, 1):
        return
    names = {layer.name for layer in layers}
    name = next(each for each in ("logits", *(f"logits{number}" for number in range(len(names)))) if each not in names)
    layers.append(Linear(name, np.eye(last.channels, dtype=np.int64), np.zeros(last.channels, np.int64)))
    boundaries.append(Boundary((last.channels,), last.low, last.high, last.scale, last.zero))


def _convert_stage(stage: Stage, before: Boundary, bins: IntegerBins | None) -> tuple[Layer, Boundary]:
    match stage.kind:
        case "pooling":
            return convert_pooling(stage, before)
        case "maximum":
            return _convert_maximum(stage, before)
        case "activation":
            return _convert_activation(stage, before, bins)
        case _:
            return _convert_residual(stage, before)


def _convert_maximum(stage: Stage, before: Boundary) -> tuple[Layer, Boundary]:
    window = pooling_window(stage.modules[0], stage.reads)
    layer = MaxPooling(stage.name, window.kernel, window.stride, window.padding)
    bits = layer.table_bits(before.extent())
    if bits > MAX_TABLE_BITS:
        raise NetworkError(
            "",
            [
                Problem(
                    stage.name,
                    f"the differences of its values need {bits} bits where a table of Concrete has {MAX_TABLE_BITS} at most",
                    "put it behind a quantised activation of fewer bits",
                )
            ],
        )
    return layer, to_boundary(layer, before, np.asarray(before.scale), np.asarray(before.zero))


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
                    "put a RoundedAccumulator behind its convolution or linear layer, or use fewer weights a neuron, fewer weight bits or "
                    "fewer input bits before it",
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
        branches[branch] = _convert_stages(read_branch(block, branch, stage.reads), before, ends_on_grid=True)
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
