"""Changes to a network that make it cheaper: accumulators rounded, quantisers of fewer bits. Data, so that they are applied again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from brevitas.core.bit_width import BitWidthConst
from torch import nn

from cryptml.errors import NetworkError
from cryptml.networks.modules.rounded_accumulator import BinnedAccumulator, RoundedAccumulator
from cryptml.networks.sequences.flat import flat_children

ROUNDING = "rounding"
WEIGHTS = "weights"
GRID = "grid"
KINDS = (ROUNDING, WEIGHTS, GRID)
FEWEST_BITS = 2

_AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True)
class Adjustment:
    """One change.

    Attributes:
        kind: ``rounding`` (the accumulators of a layer are put into 2^bits bins), ``weights`` or ``grid`` (fewer bits).
        module: Name of the convolution, linear layer or quantiser, as in the network's Sequential; parts of blocks behind dots.
        bits: 2 to 8.
        before: Bits of the accumulator in the worst case, or of the quantiser.
        layer: Of the network, whose tables read the accumulators; empty for quantisers.
    """

    kind: str
    module: str
    bits: int
    before: int
    layer: str = ""

    def __str__(self) -> str:
        if self.kind == ROUNDING:
            return f"accumulators behind module {self.module}, which {self.layer} reads: rounded from {self.before} bits to {self.bits}"
        what = "weights" if self.kind == WEIGHTS else "grid"
        return f"{what} of module {self.module}: {self.bits} bits instead of {self.before}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"kind": self.kind, "module": self.module, "bits": self.bits, "before": self.before, "layer": self.layer}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Adjustment:
        """Read what `to_json` wrote; the caller has checked it against the schema."""
        return Adjustment(data["kind"], data["module"], data["bits"], data["before"], data["layer"])


def adjusted(module: nn.Sequential, adjustments: Iterable[Adjustment]) -> nn.Sequential:
    """Return a network with its changes; its modules are the same, changed in place.

    Args:
        module: As it was built.
        adjustments: In any order.

    Raises:
        NetworkError: If a change names a module that is not there, or that has no fixed width.
    """
    chosen = list(adjustments)
    if not chosen:
        return module
    children: OrderedDict[str, nn.Module] = OrderedDict(flat_children(module))
    for each in chosen:
        if each.kind != ROUNDING:
            _narrow(_found(children, each.module), each)
    for each in chosen:
        if each.kind == ROUNDING:
            _round(children, each)
    return nn.Sequential(children)


def width_of(module: nn.Module, kind: str) -> int | None:
    """Return the fixed width of a quantiser, or of a layer's weights; None where it has none, or learns it."""
    found = _widths(module, kind)
    return int(found[0].bit_width.value) if found else None


def _widths(module: nn.Module, kind: str) -> list[Any]:
    quantiser = getattr(module, "weight_quant" if kind == WEIGHTS else "act_quant", None)
    return [] if quantiser is None else [each for each in quantiser.modules() if isinstance(each, BitWidthConst)]


def _found(children: Mapping[str, nn.Module], name: str) -> nn.Module:
    first, _, rest = name.partition(".")
    try:
        return children[first].get_submodule(rest) if rest else children[first]
    except (KeyError, AttributeError) as error:
        raise NetworkError(f"the network has no module {name!r} to be changed; train it again") from error


def _narrow(module: nn.Module, change: Adjustment) -> None:
    widths = _widths(module, change.kind)
    if not widths:
        raise NetworkError(f"module {change.module!r} has no fixed width to be lowered; train the network again")
    for each in widths:
        each.bit_width.value.fill_(float(change.bits))


def _round(children: OrderedDict[str, nn.Module], change: Adjustment) -> None:
    """Put bins behind a layer: behind the averages that follow it, which change places with a normalisation before them."""
    path, _, name = change.module.rpartition(".")
    if path:
        block = _found(children, path)
        if not isinstance(block, nn.Sequential):
            raise NetworkError(f"the network has no module {change.module!r} to be changed; train it again")
        inner: OrderedDict[str, nn.Module] = OrderedDict(flat_children(block))
        _round(inner, replace(change, module=name))
        block._modules.clear()
        for key, part in inner.items():
            block.add_module(key, part)
        return
    layer = _found(children, name)
    names = list(children)
    at = names.index(name) + 1
    if at < len(names) and isinstance(children[names[at]], BinnedAccumulator):
        children[names[at]].bits = change.bits  # type: ignore[assignment]
        return
    normed = at
    while normed < len(names) and isinstance(children[names[normed]], _NORMS):
        normed += 1
    while normed < len(names) and isinstance(children[names[normed]], _AVERAGES):
        names.insert(at, names.pop(normed))
        at, normed = at + 1, normed + 1
    channels = getattr(layer, "out_features", getattr(layer, "out_channels", 0))
    rounding = RoundedAccumulator(int(channels), bits=change.bits)
    parts = [(each, children[each]) for each in names]
    parts.insert(at, (f"{name}_rounded", rounding))
    children.clear()
    children.update(parts)
