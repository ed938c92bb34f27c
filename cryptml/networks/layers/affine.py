"""Shared reading of integer weights with a bias a channel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cryptml.errors import NetworkError
from cryptml.networks.extent import LARGEST, IntArray


def worst_case(
    positive: IntArray, negative: IntArray, bias: IntArray, low: IntArray, high: IntArray
) -> tuple[IntArray, IntArray]:
    """Return the exact bounds of ``bias + w @ x`` for ``low <= x <= high``, elementwise.

    Args:
        positive: (outputs, inputs) ``max(w, 0)``.
        negative: (outputs, inputs) ``min(w, 0)``.
        bias: (outputs,).
        low: (inputs,).
        high: (inputs,).

    Raises:
        NetworkError: If they may be so large that 64 bits do not hold them.
    """
    reach = np.maximum(np.abs(low), np.abs(high)).astype(np.float64)
    most = float(((positive - negative).astype(np.float64) @ reach + np.abs(bias)).max())
    if most > LARGEST:
        raise NetworkError(
            f"sums of up to {most:.3g} can occur behind weights and bias; they must not exceed {LARGEST}"
        )
    return positive @ low + negative @ high + bias, positive @ high + negative @ low + bias


def weight_and_bias(name: str, tensors: Mapping[str, IntArray], axes: int) -> tuple[IntArray, IntArray]:
    """Return a weight of ``axes`` axes and its bias, one a first-axis entry.

    Raises:
        NetworkError: If one is missing or the shapes disagree.
    """
    missing = sorted({"weight", "bias"} - set(tensors))
    if missing:
        raise NetworkError(f"layer {name!r} lacks the tensors {', '.join(missing)}; save the network again")
    weight, bias = tensors["weight"], tensors["bias"]
    if weight.ndim != axes or bias.shape != weight.shape[:1] or not weight.size:
        raise NetworkError(
            f"layer {name!r} has a weight of shape {weight.shape} and a bias of shape {bias.shape}; "
            f"expected {axes} axes and a bias for each of the first"
        )
    limit = np.int64(1) << 31
    if max(abs(int(weight.min())), abs(int(weight.max())), abs(int(bias.min())), abs(int(bias.max()))) >= limit:
        raise NetworkError(f"layer {name!r} holds integers of 2^31 or more; quantise the network to fewer bits")
    return weight, bias
