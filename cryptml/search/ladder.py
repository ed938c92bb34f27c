"""Steps that make a network cheaper, from none to the most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from cryptml.networks.architectures.adjustments import FEWEST_BITS, GRID, ROUNDING, WEIGHTS, Adjustment, width_of
from cryptml.networks.conversion.accumulators import TableInput

WIDEST_EXACT = 6
"""Bits of a table's input that are left as they are where no time is given: one more bit doubles the time of a PBS, and its keys."""

MILLIONS = {1: 55.0, 2: 55.0, 3: 69.0, 4: 98.0, 5: 227.0, 6: 1000.0, 7: 1940.0}
"""Complexity of one PBS by the bits of its table's input, in millions: to 5 bits as compiled, beyond in the ratio of measured times."""


@dataclass(frozen=True)
class Step:
    """How far a network is changed.

    Attributes:
        widest: Bits of a table's input that are left as they are.
        rounded: Bits that wider accumulators are rounded to.
        quantised: Most bits of weights and grids; None leaves them as they are.
        keeps: Whether accumulators that the network rounds by itself are left to it.
    """

    widest: int
    rounded: int
    quantised: int | None = None
    keeps: bool = False

    def adjustments(self, module: nn.Sequential, inputs: list[TableInput]) -> list[Adjustment]:
        """Return what has to be changed, each module once.

        Args:
            module: The network as it was built.
            inputs: What its tables read.
        """
        found: dict[tuple[str, str], Adjustment] = {}
        modules = dict(module.named_modules())
        for each in inputs:
            if each.bits <= self.widest or (self.keeps and each.rounding is not None):
                continue
            if each.accumulator is not None:
                found[ROUNDING, each.accumulator] = Adjustment(
                    ROUNDING, each.accumulator, self.rounded, each.bits, each.layer
                )
                continue
            for name in each.grids:
                # As much less as the tables read too much, of differences and sums too.
                before = width_of(modules[name], GRID)
                bits = max(FEWEST_BITS, (before or 0) - (each.bits - self.rounded))
                _lower(found, GRID, name, bits, before)
        if self.quantised is not None:
            entering = next(name for name, part in modules.items() if width_of(part, GRID) is not None)
            for name, part in modules.items():
                if name == entering:
                    continue  # an encrypted input costs the same whatever its bits
                for kind in (GRID, WEIGHTS):
                    _lower(found, kind, name, self.quantised, width_of(part, kind))
        return list(found.values())


def _lower(found: dict[tuple[str, str], Adjustment], kind: str, name: str, bits: int, before: int | None) -> None:
    already = found.get((kind, name))
    if before is not None and bits < (before if already is None else already.bits):
        found[kind, name] = Adjustment(kind, name, bits, before)


UNTIMED = tuple(Step(widest, bits, keeps=True) for widest, bits in ((WIDEST_EXACT, 5), (5, 5), (4, 4), (3, 3)))
"""Where no time is given: the first that compiles."""

TIMED = (
    *(Step(6, 6), Step(5, 5), Step(4, 4), Step(4, 4, 3)),
    *(Step(3, 3), Step(3, 3, 3), Step(2, 2, 3), Step(2, 2, 2)),
)
"""Where a time is given: the first that keeps it, behind the network as it is."""


def millions_of(bits: int) -> float:
    """Return about what one PBS costs by the bits of its table's input, in millions of complexity."""
    widest = max(MILLIONS)
    return MILLIONS[bits] if bits in MILLIONS else MILLIONS[widest] * 2.0 ** (bits - widest)


def steps(max_evaluate_ms: float | None) -> Iterator[Step]:
    """Yield the steps to try, each cheaper than the one before."""
    yield from UNTIMED if max_evaluate_ms is None else TIMED
