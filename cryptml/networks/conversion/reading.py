"""Which layer each module of a network belongs to."""

from __future__ import annotations

from dataclasses import dataclass, replace

from brevitas import nn as qnn
from torch import nn

from cryptml.errors import Problem
from cryptml.networks.conversion.checks import average_problems, grid_problems, maximum_problems, weight_problems
from cryptml.networks.conversion.kinds import (
    ARRANGING,
    AVERAGES,
    CHANNELWISE,
    CLOSING,
    CONVOLUTIONS,
    MAXIMA,
    NORMALISING,
    PASSING,
    REPLACEMENTS,
    RISING,
    instead_of,
)
from cryptml.networks.conversion.windows import NO_PADS, Pads, same_padding_problem
from cryptml.networks.modules.blocks import ResidualBlock
from cryptml.networks.modules.rounded_accumulator import BinnedAccumulator
from cryptml.networks.sequences.parts import LogitPair
from cryptml.networks.sequences.probing import does_nothing, why_no_table
from cryptml.networks.sequences.shapes import Shape

FOLLOW = "follow it with brevitas.nn.QuantReLU or QuantIdentity, whose table takes it in"


@dataclass(frozen=True)
class Stage:
    """The modules of one layer.

    Attributes:
        kind: ``convolution``, ``linear``, ``activation``, ``pooling``, ``maximum`` or ``residual``.
        name: The layer's name.
        modules: For an activation all modules of the table, in order; otherwise one.
        reads: Shape that its first module reads, without the batch axis; None where it is not known.
        pads: Zeros that a module in front of a convolution adds.
        paired: Whether the single logit that it gives becomes two.
        module: Name of the module that the layer is named after, in its Sequential.
        gives: Place, among the network's modules, of the one whose result is the layer's; None where no module gives it.
    """

    kind: str
    name: str
    modules: tuple[nn.Module, ...]
    reads: Shape | None = None
    pads: Pads = NO_PADS
    paired: bool = False
    module: str = ""
    gives: int | None = None


class Reader:
    """Takes modules in order, and has stages in the end.

    Args:
        problems: Gets every reason why the network cannot be cut.
    """

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._stages: list[Stage] = []
        self._pending: list[tuple[str, nn.Module]] = []
        self._enters: Shape | None = None
        self._pads: Pads = NO_PADS
        self._padded: Shape | None = None
        self._counts: dict[str, int] = {}

    def take(self, name: str, module: nn.Module, reads: Shape | None, at: int) -> None:
        """Take the next module.

        Args:
            name: Its name in the network.
            module: Itself.
            reads: Shape of what it reads.
            at: Its place in the network.
        """
        where = f"{name} ({type(module).__name__})"
        if isinstance(module, (*PASSING, *ARRANGING)):
            return  # a table, a linear layer and a convolution find their values in any shape
        if isinstance(module, nn.ZeroPad2d) and not self._pending:
            left, right, top, bottom = module.padding
            self._padded = reads if self._pads == NO_PADS else self._padded
            self._pads = (
                (self._pads[0][0] + top, self._pads[0][1] + bottom),
                (self._pads[1][0] + left, self._pads[1][1] + right),
            )
            return
        if self._pads != NO_PADS and not isinstance(module, CONVOLUTIONS):
            self._problem(where, "zeros are added in front of it", "add them directly in front of a convolution")
            self._pads = NO_PADS
        if isinstance(module, CLOSING):
            self._close(name, module, reads, at)
        elif isinstance(module, BinnedAccumulator):
            self._round(name, module, reads)
        elif isinstance(module, CHANNELWISE):
            self._keep(name, module, reads)
        elif self._is_table(module, shape := reads or self._guess()):
            if not does_nothing(module, shape):
                self._keep(name, module, reads)
        elif isinstance(module, AVERAGES):
            self._average(name, module, reads, at)
        elif isinstance(module, MAXIMA):
            self._maximum(name, module, reads, at)
        else:
            self._layer(name, module, reads, at)

    def finish(self) -> tuple[Stage, ...]:
        """Return all stages; what is left over at the end is a problem."""
        self._drop_pending(last=True)
        return tuple(self._stages)

    def _problem(self, where: str, what: str, instead: str) -> None:
        self._problems.append(Problem(where, what, instead))

    def _name(self, kind: str, name: str) -> str:
        """Return a layer's name: the module's own, or kind and number where a Sequential only counts."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}{self._counts[kind]}" if name.isdigit() else name

    def _add(self, kind: str, name: str, modules: tuple[nn.Module, ...], reads: Shape | None, at: int | None) -> None:
        called = _CALLED.get(kind, kind)
        reads = reads if self._pads == NO_PADS else self._padded
        self._stages.append(Stage(kind, self._name(called, name), modules, reads, self._pads, module=name, gives=at))
        self._pads = NO_PADS

    def _keep(self, name: str, module: nn.Module, reads: Shape | None) -> None:
        if not self._pending:
            self._enters = reads
        self._pending.append((name, module))

    def _round(self, name: str, module: BinnedAccumulator, reads: Shape | None) -> None:
        behind = [stage for stage in self._stages if stage.kind != "pooling"]
        if self._pending or not behind or behind[-1].kind not in ("convolution", "linear"):
            where = f"{name} ({type(module).__name__})"
            self._problem(where, "it does not follow a convolution or linear layer", "put it directly behind one")
        self._keep(name, module, reads)

    def _is_table(self, module: nn.Module, reads: Shape) -> bool:
        """Whether a module that is not known treats every value by itself."""
        return not isinstance(module, (*_STRUCTURED, *REPLACEMENTS, nn.ZeroPad2d, nn.Sequential)) and (
            why_no_table(module, reads) is None
        )

    def _guess(self) -> Shape:
        """Return a shape that a module may read, where none is known."""
        channels = next((_channels(each.modules[-1]) for each in self._stages[::-1] if _channels(each.modules[-1])), 1)
        return (channels,) if any(each.kind == "linear" for each in self._stages) else (channels, 6, 6)

    def _close(self, name: str, module: nn.Module, reads: Shape | None, at: int) -> None:
        self._problems += grid_problems(name, module)
        pools = [place for place, (_, each) in enumerate(self._pending) if isinstance(each, MAXIMA)]
        enters = self._enters if self._pending else reads
        kept = tuple(each for _, each in self._pending if not isinstance(each, MAXIMA))
        self._add("activation", name, (*kept, module), enters, None if pools else at)
        for place in pools:
            self._rising(self._pending[place][0], self._pending[place + 1 :])
            pool_name, pool = self._pending[place]
            self._add(
                "maximum", pool_name, (pool,), None if enters is None else reads, at if place == pools[-1] else None
            )
        self._pending.clear()

    def _rising(self, name: str, behind: list[tuple[str, nn.Module]]) -> None:
        """Refuse a maximum in front of what may fall: only a function that never falls may be computed before it instead."""
        for other, each in behind:
            if not isinstance(each, (*RISING, *MAXIMA)):
                self._problem(
                    f"{name} (maximum)",
                    f"behind it {other} ({type(each).__name__}) may turn the largest value into the least",
                    "put the pooling behind the quantised activation",
                )

    def _average(self, name: str, module: nn.Module, reads: Shape | None, at: int) -> None:
        self._problems += average_problems(f"{name} ({type(module).__name__})", module, reads)
        if self._pending and all(isinstance(each, NORMALISING) for _, each in self._pending):
            self._add(
                "pooling", name, (module,), reads, None
            )  # an average of straight lines is a straight line of the average
            self._enters = None
            return
        self._drop_pending()
        self._add("pooling", name, (module,), reads, at)

    def _maximum(self, name: str, module: nn.Module, reads: Shape | None, at: int) -> None:
        self._problems += maximum_problems(f"{name} ({type(module).__name__})", module)
        accumulates = bool(self._stages) and self._stages[-1].kind in ("convolution", "linear")
        if self._pending or accumulates:
            self._keep(name, module, reads)  # computed behind the table, where values have few bits
        else:
            self._add("maximum", name, (module,), reads, at)

    def _layer(self, name: str, module: nn.Module, reads: Shape | None, at: int) -> None:
        where = f"{name} ({type(module).__name__})"
        if isinstance(module, LogitPair) and not self._pending and self._stages and self._stages[-1].kind == "linear":
            last = self._stages.pop()
            self._stages.append(replace(last, paired=True, gives=at))
            return
        self._drop_pending()
        if isinstance(module, CONVOLUTIONS):
            self._problems += weight_problems(where, module)
            if getattr(module, "is_same_padded_strided", False) and reads is None:
                self._problems.append(same_padding_problem(where, module))
            self._add("convolution", name, (module,), reads, at)
        elif isinstance(module, qnn.QuantLinear):
            self._problems += weight_problems(where, module)
            if reads is not None and len(reads) > 1:
                self._problem(where, f"it reads a tensor of shape {reads}", "put torch.nn.Flatten in front of it")
            self._add("linear", name, (module,), reads, at)
        elif isinstance(module, ResidualBlock):
            self._add("residual", name, (module,), reads, at)
        else:
            self._refuse(where, module, reads)

    def _refuse(self, where: str, module: nn.Module, reads: Shape | None) -> None:
        reason = "this kind of module has no integer form"
        if isinstance(module, LogitPair):
            where, reason = "network", "its single logit does not come from a linear layer"
            self._problem(where, reason, "end with brevitas.nn.QuantLinear")
            return
        if reads is not None and not isinstance(module, tuple(REPLACEMENTS)):
            reason += f", nor is it a table: {why_no_table(module, reads)}"
        self._problem(where, reason, instead_of(module))

    def _drop_pending(self, *, last: bool = False) -> None:
        for name, module in self._pending:
            if isinstance(module, nn.Sigmoid) and last:
                self._problem(
                    f"{name} (Sigmoid)", "it stands behind the logits", "leave it out: the client applies it to them"
                )
                continue
            what = "no quantised activation follows it before the next layer"
            self._problem(f"{name} ({type(module).__name__})", what, FOLLOW)
        self._pending.clear()


_CALLED = {"convolution": "conv", "activation": "act", "pooling": "pool", "maximum": "max", "residual": "block"}
"""Kinds as names of layers say them."""

_STRUCTURED = (*CONVOLUTIONS, *AVERAGES, *MAXIMA, qnn.QuantLinear, ResidualBlock, LogitPair)


def _channels(module: nn.Module) -> int:
    found = getattr(module, "out_channels", getattr(module, "out_features", 0))
    return found if isinstance(found, int) else 0
