"""Cut a Brevitas sequence into placeable stages, or say everything that stands in the way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from brevitas import nn as qnn
from torch import nn

from cryptml.errors import NetworkError, Problem
from cryptml.networks.modules.blocks import Modulus, ResidualBlock
from cryptml.networks.modules.dropout import CentredDropout
from cryptml.networks.modules.rounded_accumulator import BinnedAccumulator

CLOSING = (qnn.QuantReLU, qnn.QuantIdentity, qnn.QuantHardTanh, qnn.QuantSigmoid, qnn.QuantTanh)
"""Activations that end on an integer grid."""

CHANNELWISE = (
    nn.BatchNorm2d,
    nn.BatchNorm1d,
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Tanh,
    nn.Hardtanh,
    nn.Hardswish,
    Modulus,
)
"""What a table can hold: maps of one value at a time, the same or one a channel. They need a closing activation."""

PASSING = (nn.Flatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity, CentredDropout)
"""Nothing happens to the values in evaluation."""

REPLACEMENTS = {
    nn.Conv2d: "use brevitas.nn.QuantConv2d",
    nn.Linear: "use brevitas.nn.QuantLinear",
    nn.MaxPool2d: "use torch.nn.AvgPool2d: a maximum costs several lookups a value",
    nn.AdaptiveAvgPool2d: "use torch.nn.AvgPool2d with the window written out",
    qnn.TruncAvgPool2d: "use torch.nn.AvgPool2d: the division moves into the scale, nothing is truncated",
    nn.Softmax: "leave it out: the client applies it to the decrypted logits",
    nn.LayerNorm: "use torch.nn.BatchNorm2d: statistics of an encrypted tensor are out of reach",
    nn.GroupNorm: "use torch.nn.BatchNorm2d: statistics of an encrypted tensor are out of reach",
    nn.Sequential: "put its modules into the outer Sequential, or into a ResidualBlock",
}


@dataclass(frozen=True)
class Stage:
    """The modules of one layer.

    Attributes:
        kind: ``convolution``, ``linear``, ``activation``, ``pooling`` or ``residual``.
        name: The layer's name.
        modules: For an activation all modules of the table, in order; otherwise one.
    """

    kind: str
    name: str
    modules: tuple[nn.Module, ...]


def read_stages(module: nn.Module) -> tuple[nn.Module, tuple[Stage, ...]]:
    """Return the input quantiser and the stages after it.

    Raises:
        NetworkError: With every `Problem` of the network, each with what to use instead.
    """
    if not isinstance(module, nn.Sequential):
        raise NetworkError(f"the network is a {type(module).__name__}; write it as one torch.nn.Sequential")
    children = list(module.named_children())
    problems = []
    if not children or not isinstance(children[0][1], qnn.QuantIdentity):
        first = f"{children[0][0]} ({type(children[0][1]).__name__})" if children else "network"
        problems.append(
            Problem(first, "the network does not begin with its input grid", "begin with brevitas.nn.QuantIdentity")
        )
        stages = _read(children, problems)
    else:
        problems += _grid_problems(children[0][0], children[0][1])
        stages = _read(children[1:], problems)
    if stages and stages[-1].kind not in ("linear", "convolution", "residual", "activation"):
        problems.append(
            Problem(stages[-1].name, f"the network ends in {stages[-1].kind}", "end with one value a class")
        )
    if not stages and not problems:
        problems.append(Problem("network", "there is no layer after the input grid", "add layers"))
    if problems:
        raise NetworkError("the network cannot be cut into layers:", problems)
    return children[0][1], stages


def read_branch(block: ResidualBlock, name: str) -> tuple[Stage, ...]:
    """Return the stages of a block's branch (``body`` or ``shortcut``), its grid included as the last stage."""
    branch = getattr(block, name)
    return _read([*branch.named_children(), ("grid", block.grid)], [])


def _read(children: list[tuple[str, nn.Module]], problems: list[Problem]) -> tuple[Stage, ...]:
    stages: list[Stage] = []
    pending: list[tuple[str, nn.Module]] = []
    names = _Names()
    for name, module in children:
        where = f"{name} ({type(module).__name__})"
        if isinstance(module, PASSING):
            continue
        if isinstance(module, CLOSING):
            problems += _grid_problems(name, module)
            stages.append(Stage("activation", names.of("act", name), (*(inner for _, inner in pending), module)))
            pending.clear()
            continue
        if isinstance(module, BinnedAccumulator) and (
            pending or not stages or stages[-1].kind not in ("convolution", "linear")
        ):
            problems.append(
                Problem(where, "it does not follow a convolution or linear layer", "put it directly behind one")
            )
        if isinstance(module, (*CHANNELWISE, BinnedAccumulator)):
            pending.append((name, module))
            continue
        problems += _dangling(pending)
        pending.clear()
        if isinstance(module, qnn.QuantConv2d):
            problems += _weight_problems(where, module)
            stages.append(Stage("convolution", names.of("conv", name), (module,)))
        elif isinstance(module, qnn.QuantLinear):
            problems += _weight_problems(where, module)
            stages.append(Stage("linear", names.of("linear", name), (module,)))
        elif type(module) is nn.AvgPool2d:
            problems += _pooling_problems(where, module)
            stages.append(Stage("pooling", names.of("pool", name), (module,)))
        elif isinstance(module, ResidualBlock):
            problems += _block_problems(name, module)
            stages.append(Stage("residual", names.of("block", name), (module,)))
        else:
            known = ", ".join(
                sorted({cls.__name__ for cls in (*CLOSING, nn.AvgPool2d, qnn.QuantConv2d, qnn.QuantLinear)})
            )
            instead = REPLACEMENTS.get(type(module), f"use {known} or a ResidualBlock")
            problems.append(Problem(where, "this kind of module has no integer form", instead))
    problems += _dangling(pending)
    problems += [
        Problem(
            f"layer {stage.name!r}", "its name cannot be written to a file", "use 1 to 64 of a-z, A-Z, 0-9, _ and -"
        )
        for stage in stages
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", stage.name.rpartition(".")[2])  # a dot follows the block's name
    ]
    return tuple(stages)


class _Names:
    """Layer names: the module's own, or kind and number where a Sequential only counts."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def of(self, kind: str, name: str) -> str:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}{self._counts[kind]}" if name.isdigit() else name


def _block_problems(name: str, block: ResidualBlock) -> list[Problem]:
    """Return what is wrong in either branch, the grid that closes both included, each once."""
    problems: list[Problem] = []
    closing = [("grid", block.grid)] if isinstance(block.grid, CLOSING) else []
    for branch in (block.body, block.shortcut):
        _read([(f"{name}.{inner}", child) for inner, child in [*branch.named_children(), *closing]], problems)
    if not closing:
        problems += _grid_problems(f"{name}.grid", block.grid)
    return list(dict.fromkeys(problems))


def _dangling(pending: list[tuple[str, nn.Module]]) -> Iterator[Problem]:
    for name, module in pending:
        yield Problem(
            f"{name} ({type(module).__name__})",
            "no quantised activation follows it before the next layer",
            "follow it with brevitas.nn.QuantReLU or QuantIdentity, whose table takes it in",
        )


def _grid_problems(name: str, module: nn.Module) -> Iterator[Problem]:
    where = f"{name} ({type(module).__name__})"
    if not isinstance(module, CLOSING):
        yield Problem(where, "it does not end on an integer grid", "use brevitas.nn.QuantIdentity")
        return
    if not module.is_act_quant_enabled:
        yield Problem(where, "its quantiser is off", "give it an act_quant, such as Uint8ActPerTensorFloat")
        return
    scale, zero, bits = module.quant_act_scale(), module.quant_act_zero_point(), module.quant_act_bit_width()
    if scale.numel() != 1:
        yield Problem(
            where, f"it has {scale.numel()} scales", "use one scale for the whole tensor (PerTensor quantiser)"
        )
    if float(zero.abs().max()) != 0:
        yield Problem(where, f"its zero point is {float(zero.abs().max())}", "use a symmetric quantiser (zero point 0)")
    if not 1 <= float(bits) <= 8:
        yield Problem(where, f"it is {float(bits):g} bits wide", "use 1 to 8 bits")


def _weight_problems(where: str, module: nn.Module) -> Iterator[Problem]:
    if not module.is_weight_quant_enabled:
        yield Problem(
            where, "its weights are not quantised", "give it a weight_quant, such as Int8WeightPerChannelFloat"
        )
        return
    if float(module.quant_weight_zero_point().abs().max()) != 0:
        yield Problem(where, "its weights have a zero point", "use a symmetric weight quantiser")
    if isinstance(module, qnn.QuantConv2d):
        if module.padding_mode != "zeros" or isinstance(module.padding, str):
            yield Problem(
                where, f"padding {module.padding!r}, mode {module.padding_mode!r}", "pad with a number of zeros"
            )
        if set(module.dilation) != {1}:
            yield Problem(where, f"dilation {module.dilation}", "use dilation 1 and a larger kernel or stride")


def _pooling_problems(where: str, module: nn.AvgPool2d) -> Iterator[Problem]:
    if set(_pair(module.padding)) != {0} or module.ceil_mode or module.divisor_override is not None:
        yield Problem(where, "padding, ceil_mode or divisor_override is set", "pool whole windows only")


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))
