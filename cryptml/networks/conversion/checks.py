"""What single modules must be, to have an integer form."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from cryptml.errors import Problem
from cryptml.networks.conversion.kinds import AVERAGES, CLOSING, CONVOLUTIONS

MOST_GRID_BITS = 8


def grid_problems(name: str, module: nn.Module) -> Iterator[Problem]:
    """Yield what keeps a module from ending on one integer grid around 0."""
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
    if not 1 <= float(bits) <= MOST_GRID_BITS:
        yield Problem(where, f"it is {float(bits):g} bits wide", f"use 1 to {MOST_GRID_BITS} bits")


def weight_problems(where: str, module: nn.Module) -> Iterator[Problem]:
    """Yield what keeps a convolution or a linear layer from having integer weights, and nothing else."""
    for side, place in (("input", "in front of"), ("output", "behind")):
        if getattr(module, f"is_{side}_quant_enabled", False):
            yield Problem(
                where,
                f"its own {side}_quant rounds what the layer {'reads' if side == 'input' else 'gives'}",
                f"leave {side}_quant out, and put a brevitas.nn.QuantIdentity with that quantiser {place} the layer",
            )
    if not module.is_weight_quant_enabled:
        yield Problem(
            where, "its weights are not quantised", "give it a weight_quant, such as Int8WeightPerChannelFloat"
        )
        return
    if is_parametrized(module, "bias"):
        yield Problem(
            where, "its bias is parametrised, and cannot be moved to integers", "parametrise the weights alone"
        )
    if float(module.quant_weight_zero_point().abs().max()) != 0:
        yield Problem(where, "its weights have a zero point", "use a symmetric weight quantiser")
    if isinstance(module, CONVOLUTIONS) and module.padding_mode != "zeros":
        yield Problem(where, f"padding {module.padding!r}, mode {module.padding_mode!r}", "pad with zeros")


def average_problems(where: str, module: nn.Module, reads: tuple[int, ...] | None) -> Iterator[Problem]:
    """Yield what keeps an average from being a sum of whole windows."""
    if isinstance(module, (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)):
        wanted = adaptive_size(module, reads)
        if reads is None or wanted is None or any(has % wants for has, wants in zip(reads[1:], wanted, strict=True)):
            yield Problem(
                where,
                f"its windows are not whole: it makes {module.output_size} of {None if reads is None else reads[1:]}",
                "use torch.nn.AvgPool2d with the window written out",
            )
        return
    given = (getattr(module, "divisor_override", None), module.ceil_mode)
    padding = module.padding if isinstance(module.padding, tuple) else (module.padding,)
    if any(padding) or given != (None, False):
        yield Problem(where, "padding, ceil_mode or divisor_override is set", "pool whole windows only")


def adaptive_size(module: nn.Module, reads: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Return the lengths that an adaptive average gives, without the channels."""
    if reads is None or not isinstance(module, AVERAGES) or len(reads) < 2:
        return None
    size = module.output_size
    sizes = size if isinstance(size, tuple) else (size,) * (len(reads) - 1)
    found = tuple(has if wants is None else int(wants) for has, wants in zip(reads[1:], sizes, strict=False))
    return found if len(found) == len(reads) - 1 and all(found) else None


def maximum_problems(where: str, module: nn.Module) -> Iterator[Problem]:
    """Yield what keeps a maximum from being one of whole windows."""
    if set(as_pair(module.dilation)) != {1} or module.ceil_mode or module.return_indices:
        yield Problem(where, "dilation, ceil_mode or return_indices is set", "pool whole windows only")


def as_pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    """Return rows and columns; of a length alone, one row."""
    if isinstance(value, int):
        return value, value
    return (int(value[0]), int(value[1])) if len(value) > 1 else (1, int(value[0]))
