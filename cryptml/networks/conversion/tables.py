"""Tables: all that stands between two linear layers, evaluated on every value that can occur."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from cryptml.errors import NetworkError, Problem, said_by
from cryptml.networks.bins import Bins
from cryptml.networks.boundary import Boundary
from cryptml.networks.conversion.grid import Reals, to_boundary
from cryptml.networks.conversion.reading import Stage
from cryptml.networks.extent import IntArray
from cryptml.networks.layers import Activation, Layer
from cryptml.networks.modules.blocks import value_of


def reals_of(values: Reals | IntArray, before: Boundary) -> Reals:
    """Return (len(values), channels): what a boundary's integers stand for in each channel."""
    zero = np.broadcast_to(np.asarray(before.zero, dtype=np.int64), (before.channels,))
    in_scale = np.broadcast_to(np.asarray(before.scale, dtype=np.float64), (before.channels,))
    reals: Reals = (values[:, None] - zero) * in_scale
    return reals


def with_table(stage: Stage, before: Boundary, bins: Bins, values: Reals) -> tuple[Layer, Boundary]:
    """Return the layer whose table holds what the stage's modules make of (numbers, channels) values, one for each number of a bin."""
    scale, _, _ = grid_of(stage.modules[-1])
    try:
        table = _tabulate(stage, values, before, scale)
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        raise NetworkError(
            "",
            [
                Problem(
                    stage.name,
                    f"its modules do not take {before.channels} channels of shape {before.shape} ({said_by(error)})",
                    "let them follow their convolution or linear layer directly, and put Flatten after the activation",
                )
            ],
        ) from error
    if bins.negacyclic:
        table, opposite = np.broadcast_to(table, (len(table), bins.numbers)).reshape(len(table), 2, -1).swapaxes(0, 1)
        if (table != -opposite).any():
            raise NetworkError(
                "",
                [
                    Problem(
                        stage.name,
                        "half a period further its modules do not give the opposite",
                        "put nothing but a multiplication and a symmetric signed quantiser (narrow range) behind a NegacyclicActivation",
                    )
                ],
            )
    clamps = not bins.hold(np.array([before.low, before.high])).all()
    layer = Activation(stage.name, table, bins.low, bins.dropped_bits, clamps=clamps, negacyclic=bins.negacyclic)
    return layer, to_boundary(layer, before, np.asarray([scale]), np.zeros(1, np.int64))


def _tabulate(stage: Stage, values: Reals, before: Boundary, scale: float) -> IntArray:
    """Return (channels, len(values)): what the modules make of (len(values), channels) values, on the grid of ``scale``."""
    channels = values.shape[1]
    x = torch.from_numpy(values.astype(np.float32))
    shape = before.shape if stage.reads is None or stage.reads[0] != channels else stage.reads
    x = x.reshape(*x.shape, *[1] * (len(shape) - 1))
    for module in stage.modules:
        x = value_of(module(x))
    if not bool(torch.isfinite(x).all()):
        raise NetworkError("they make no finite number of a value that can occur")
    outputs = np.rint(x.numpy().reshape(len(values), channels).T.astype(np.float64) / scale)
    if bool((outputs == outputs[:1]).all()):
        outputs = outputs[:1]
    return outputs.astype(np.int64)


def grid_of(module: nn.Module) -> tuple[float, int, int]:
    """Return scale, lowest and highest integer of a quantising activation."""
    bits, signed = int(module.quant_act_bit_width()), bool(module.is_quant_act_signed)
    narrow = bool(module.act_quant.is_narrow_range)
    if signed:
        low, high = -(1 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1
    else:
        low, high = 0, (1 << bits) - 1 - narrow
    return float(module.quant_act_scale()), low, high


def require_plain_rounding(grid: nn.Module, first: Boundary) -> None:
    """Refuse an input grid that puts numbers elsewhere than `Boundary.quantise` does, which is what the client runs."""
    quarters = np.arange(4 * (first.low - 2), 4 * (first.high + 2) + 1)
    reals = (quarters[quarters % 4 != 2] / 4 * first.scale[0]).astype(np.float32).reshape(-1, *[1] * len(first.shape))
    expected = first.dequantise(first.quantise(reals))
    found = value_of(grid(torch.from_numpy(reals))).numpy()
    if float(np.abs(found - expected).max()) > first.scale[0] / 2:
        raise NetworkError(
            "the network cannot be compiled:",
            [
                Problem(
                    "input grid",
                    f"it does not round to the nearest of the integers {first.low} to {first.high}",
                    "use Int8ActPerTensorFloat or Uint8ActPerTensorFloat of 2 bits or more",
                )
            ],
        )
