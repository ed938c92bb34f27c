"""Cut a Brevitas network into placeable stages, or say everything that stands in the way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from brevitas import nn as qnn
from torch import nn

from cryptml.errors import NetworkError, Problem
from cryptml.networks.conversion.checks import grid_problems
from cryptml.networks.conversion.kinds import ARRANGING, CLOSING, CONVOLUTIONS, PASSING
from cryptml.networks.conversion.reading import Reader, Stage
from cryptml.networks.modules.blocks import ResidualBlock
from cryptml.networks.sequences import flat_children, is_plain
from cryptml.networks.sequences.shapes import Shape, shapes_of

__all__ = ["Reading", "Stage", "read_branch", "read_network", "read_stages"]

Named = Sequence[tuple[str, nn.Module]]


@dataclass(frozen=True)
class Reading:
    """A network as it was read.

    Attributes:
        children: All modules that run, in order, with their names.
        start: Place of the input grid among them.
        stages: In order.
    """

    children: tuple[tuple[str, nn.Module], ...]
    start: int
    stages: tuple[Stage, ...]

    @property
    def grid(self) -> nn.Module:
        """The input quantiser."""
        return self.children[self.start][1]


def read_stages(module: nn.Module, shape: Shape | None = None) -> tuple[nn.Module, tuple[Stage, ...]]:
    """Return the input quantiser and the stages after it.

    Args:
        module: A `torch.nn.Sequential`, in evaluation mode; others may lie in it.
        shape: Of its input, without the batch axis. Where it is not known, what depends on sizes is refused: strided padding "same",
            adaptive averages.

    Raises:
        NetworkError: With every `Problem` of the network, each with what to use instead.
    """
    found = read_network(module, shape)
    return found.grid, found.stages


def read_network(module: nn.Module, shape: Shape | None = None) -> Reading:
    """Return the input quantiser, the stages after it and where they come from; see `read_stages`."""
    if not isinstance(module, nn.Sequential) or not is_plain(module):
        raise NetworkError(f"the network is a {type(module).__name__}; write it as one torch.nn.Sequential")
    children = flat_children(module)
    shapes, broken = shapes_of(children, shape) if shape is not None else ([None] * len(children), None)
    start = next((at for at, (_, each) in enumerate(children) if not isinstance(each, (*ARRANGING, *PASSING))), 0)
    problems = _tied(children)
    if not children or not isinstance(children[start][1], qnn.QuantIdentity):
        first = f"{children[start][0]} ({type(children[start][1]).__name__})" if children else "network"
        problems.append(
            Problem(first, "the network does not begin with its input grid", "begin with brevitas.nn.QuantIdentity")
        )
        stages = _read(children, shapes, problems)
    else:
        problems += grid_problems(*children[start])
        stages = _read(children, shapes, problems, start + 1)
    if stages and shape is None and stages[-1].kind in ("pooling", "maximum"):
        problems.append(
            Problem(stages[-1].name, f"the network ends in {stages[-1].kind}", "end with one value a class")
        )
    if not stages and not problems:
        problems.append(Problem("network", "there is no layer after the input grid", "add layers"))
    if broken is not None and not problems:
        problems.append(broken)
    if problems:
        raise NetworkError("the network cannot be cut into layers:", problems)
    return Reading(tuple(children), start, stages)


def read_branch(block: ResidualBlock, name: str, shape: Shape | None = None) -> tuple[Stage, ...]:
    """Return the stages of a block's branch (``body`` or ``shortcut``), its grid included as the last stage."""
    children = _branch(block, name)
    shapes = shapes_of(children, shape)[0] if shape is not None else [None] * len(children)
    return _read(children, shapes, [])


def _branch(block: ResidualBlock, name: str) -> list[tuple[str, nn.Module]]:
    return [*flat_children(getattr(block, name)), ("grid", block.grid)]


def _read(
    children: Named, shapes: Sequence[Shape | None], problems: list[Problem], start: int = 0
) -> tuple[Stage, ...]:
    reader = Reader(problems)
    for at in range(start, len(children)):
        name, module = children[at]
        if isinstance(module, ResidualBlock):
            problems += _block_problems(name, module, shapes[at])
        reader.take(name, module, shapes[at], at)
    stages = reader.finish()
    problems += [
        Problem(
            f"layer {stage.name!r}", "its name cannot be written to a file", "use 1 to 64 of a-z, A-Z, 0-9, _ and -"
        )
        for stage in stages
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", stage.name.rpartition(".")[2])  # a dot follows the block's name
    ]
    return stages


def _block_problems(name: str, block: ResidualBlock, shape: Shape | None) -> list[Problem]:
    """Return what is wrong in either branch, the grid that closes both included, each once."""
    problems: list[Problem] = []
    closes = isinstance(block.grid, CLOSING)
    for branch in ("body", "shortcut"):
        children = _branch(block, branch) if closes else flat_children(getattr(block, branch))
        shapes = shapes_of(children, shape)[0] if shape is not None else [None] * len(children)
        _read([(f"{name}.{inner}", child) for inner, child in children], shapes, problems)
    if not closes:
        problems += grid_problems(f"{name}.grid", block.grid)
    return list(dict.fromkeys(problems))


def _tied(children: Named) -> list[Problem]:
    """Return what is wrong with modules that are used twice."""
    uses = Counter(id(module) for _, module in children)
    layers = {
        id(module): (name, module)
        for name, module in children
        if uses[id(module)] > 1 and isinstance(module, (*CONVOLUTIONS, qnn.QuantLinear)) and module.bias is not None
    }
    return [
        Problem(
            f"{name} ({type(module).__name__})",
            "it is used twice and has a bias, which cannot stand on the grids of both accumulators",
            "give it bias=False, or use two modules",
        )
        for name, module in layers.values()
    ]
