"""Sums of two branches in the graph of a user's module."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import torch
from torch import fx, nn

from cryptml.errors import NetworkError
from cryptml.networks.sequences.functions import Data

SUMS = (operator.add, operator.iadd, torch.add)


@dataclass(frozen=True)
class Branches:
    """Two branches that are added.

    Attributes:
        ends: Last node of the longer and of the shorter branch, in front of their common grid.
        start: Node that both read.
        grid: The quantiser at the end of both.
    """

    ends: tuple[fx.Node, fx.Node]
    start: fx.Node
    grid: nn.Module


def is_sum(node: fx.Node) -> bool:
    """Whether a node adds two tensors that flow."""
    adds = (node.op == "call_function" and node.target in SUMS) or (
        node.op == "call_method" and node.target in ("add", "add_")
    )
    return adds and sum(isinstance(each, fx.Node) and each.op != "get_attr" for each in node.args) == 2


def both_branches(node: fx.Node, data: Data) -> Branches:
    """Return the branches of a sum.

    Raises:
        NetworkError: If they do not end in one quantiser, as the integer program needs it.
    """
    one, other = (_back(each, data) for each in node.args if isinstance(each, fx.Node))
    shared = next((each for each in one if each in set(other)), None)
    if shared is None:
        raise NetworkError(f"{data.where}: the sum {node.name!r} has no common beginning; add branches of one tensor")
    branches = sorted((one[: one.index(shared)], other[: other.index(shared)]), key=len, reverse=True)
    grid = _grid(branches, shared, data)
    if grid is None:
        raise NetworkError(
            f"{data.where}: the branches of the sum {node.name!r} do not end in one quantiser, so their integers have no common grid; "
            "send both through the same brevitas.nn.QuantIdentity before they are added, as cryptml.networks.modules.ResidualBlock does"
        )
    ends = tuple(data.before(branch[0]) if branch else shared for branch in branches)
    return Branches((ends[0], ends[1]), shared, grid)


def _back(node: fx.Node, data: Data) -> list[fx.Node]:
    """Return a node and all before it, the last first."""
    found = [node]
    while found[-1].op != "placeholder":
        if is_sum(found[-1]):
            found.append(both_branches(found[-1], data).start)
        else:
            found.append(data.before(found[-1]))
    return found


def _grid(branches: list[list[fx.Node]], shared: fx.Node, data: Data) -> nn.Module | None:
    """Return the module at the end of both branches; an empty branch ends in what it comes from, whose values stay where they are."""
    ends = [branch[0] if branch else shared for branch in branches]
    modules = [data.module(end) for end in ends]
    return modules[0] if modules[0] is not None and modules[0] is modules[1] else None
