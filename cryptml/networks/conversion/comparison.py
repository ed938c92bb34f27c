"""Compare a module with its integer program, layer by layer."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryptml.errors import NetworkError, Problem
from cryptml.networks.boundary import Boundary
from cryptml.networks.conversion.stages import Reading, read_network
from cryptml.networks.extent import IntArray
from cryptml.networks.modules.blocks import value_of
from cryptml.networks.network import Network
from cryptml.splits import Segment

ALLOWED = 0.01
"""Share of a layer's values that may differ at all."""

TIES = 0.1
"""Share that may differ by one step of a grid: values half-way between two steps go either way with the rounding of floats."""


def require_same(module: nn.Sequential, network: Network, inputs: Tensor) -> None:
    """Refuse a module that computes something else than its integer program, by the first layer that differs.

    Each layer reads what the module itself makes of the inputs before it, so that no difference is carried along.

    Args:
        module: Settled (`cryptml.networks.conversion.settling`), in evaluation mode.
        network: What it was converted to.
        inputs: (batch, *front_end.shape) float32.

    Raises:
        NetworkError: With the layer, its module, the share of values that differ and the largest difference in steps of its grid.
    """
    reading = read_network(module, network.front_end.shape)
    with torch.no_grad():
        results = _results(reading, inputs)
        whole = value_of(module(inputs)).numpy()
    first = network.boundaries[0]
    integers = first.quantise(results[reading.start].numpy().reshape(-1, *first.shape))
    last = 0
    for index, stage in enumerate(reading.stages):
        if stage.gives is None:
            continue
        boundary = network.boundaries[index + 1]
        expected = results[stage.gives].numpy()
        found = network.run(integers, Segment(last, index + 1))
        problem = _difference(boundary, found, expected, f"{stage.name} ({type(stage.modules[0]).__name__})")
        if problem is not None:
            raise NetworkError("the network computes something else than the integers made of it:", [problem])
        integers, last = _integers(boundary, expected, found), index + 1
    if last < len(network):
        integers = network.run(integers, Segment(last, len(network)))
    problem = _difference(network.boundaries[-1], integers, whole, "network")
    if problem is not None:
        raise NetworkError("the network computes something else than its modules one after the other:", [problem])


def _results(reading: Reading, inputs: Tensor) -> list[Tensor]:
    found, x = [], inputs
    for _, module in reading.children:
        x = module(x)
        found.append(value_of(x).clone())
    return found


def _difference(boundary: Boundary, found: IntArray, expected: NDArray[np.float32], where: str) -> Problem | None:
    step = np.asarray(boundary.scale).reshape(-1, *[1] * (len(boundary.shape) - 1))
    steps = np.abs(boundary.dequantise(found) - expected.reshape(found.shape)) / step
    share = float((steps >= 0.5).mean())
    if share <= (ALLOWED if float(steps.max(initial=0)) > 1.5 else TIES):
        return None
    return Problem(
        where,
        f"its result differs from that of its integers on {share:.1%} of {steps.size} values, by up to {float(steps.max()):.3g} steps",
        "let it depend on nothing but its input, without hooks and overridden methods, or replace it by Brevitas' own layer",
    )


def _integers(boundary: Boundary, expected: NDArray[np.float32], found: IntArray) -> IntArray:
    """Return what the module's values are on the boundary's grid; where they cannot occur, what the program gives."""
    axes = [1] * (len(boundary.shape) - 1)
    scale, zero = (np.asarray(each).reshape(-1, *axes) for each in (boundary.scale, boundary.zero))
    integers = np.rint(expected.reshape(found.shape) / scale).astype(np.int64) + zero
    return np.where((integers < boundary.low) | (integers > boundary.high), found, integers)
