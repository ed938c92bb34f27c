"""Which side runs which layer: sides, splits and the segments that they make.

A split assigns every layer of a network to the client (in the clear) or to the server (encrypted). Neighbouring layers on
one side run together as one segment. A network of n layers has 2^n splits, but only n(n+1)/2 different segments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import groupby, product

from cryptml.errors import SplitError, counted


class Side(Enum):
    """Who runs a layer; the value is its letter in a written split."""

    CLIENT = "C"
    SERVER = "S"


@dataclass(frozen=True, order=True)
class Segment:
    """A run of neighbouring layers ``start .. stop - 1``, as Python ranges count.

    Attributes:
        start: Index of the first layer, 0 or more; also the index of the boundary that the segment reads.
        stop: Index after the last layer, greater than ``start``; also the index of the boundary that it writes.
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise SplitError(f"segment [{self.start}, {self.stop}) is empty or negative; use 0 <= start < stop")

    def __len__(self) -> int:
        return self.stop - self.start

    def __str__(self) -> str:
        return f"{self.start}-{self.stop}"


@dataclass(frozen=True)
class Split:
    """One assignment of a side to every layer, written ``CCSSC``.

    Attributes:
        letters: One ``C`` or ``S`` a layer, first layer first.

    Raises:
        SplitError: If empty or written with other letters.
    """

    letters: str

    def __post_init__(self) -> None:
        wrong = sorted(set(self.letters) - {side.value for side in Side})
        if wrong or not self.letters:
            shown = ", ".join(map(repr, wrong)) or "nothing"
            raise SplitError(
                f"split {self.letters!r} holds {shown}; write one C (client) or S (server) for each layer, as in CCSSC"
            )

    def __len__(self) -> int:
        return len(self.letters)

    def __str__(self) -> str:
        return self.letters

    @property
    def sides(self) -> tuple[Side, ...]:
        """The side of each layer."""
        return tuple(Side(letter) for letter in self.letters)

    @property
    def segments(self) -> tuple[tuple[Side, Segment], ...]:
        """The maximal runs of one side, in order; together they cover every layer once."""
        runs: list[tuple[Side, Segment]] = []
        start = 0
        for letter, run in groupby(self.letters):
            stop = start + len(list(run))
            runs.append((Side(letter), Segment(start, stop)))
            start = stop
        return tuple(runs)

    @property
    def server_segments(self) -> tuple[Segment, ...]:
        """The encrypted segments, in order; each costs one round trip."""
        return tuple(segment for side, segment in self.segments if side is Side.SERVER)

    @property
    def client_segments(self) -> tuple[Segment, ...]:
        """The segments that the client runs in the clear, in order."""
        return tuple(segment for side, segment in self.segments if side is Side.CLIENT)

    def require_length(self, layers: int) -> Split:
        """Return this split if it fits a network of ``layers`` layers.

        Raises:
            SplitError: If it has another number of letters.
        """
        if len(self) != layers:
            raise SplitError(
                f"split {self.letters!r} has {counted(len(self), 'letter')} but the network has {counted(layers, 'layer')}; "
                f"write {layers} letters"
            )
        return self


def enumerate_splits(layers: int) -> Iterator[Split]:
    """Yield all 2^layers splits, ``C`` before ``S`` at each layer.

    Raises:
        SplitError: If ``layers`` is less than 1.
    """
    _require_layers(layers)
    for letters in product("CS", repeat=layers):
        yield Split("".join(letters))


def enumerate_segments(layers: int) -> Iterator[Segment]:
    """Yield all layers * (layers + 1) / 2 segments, by start, then by stop.

    Raises:
        SplitError: If ``layers`` is less than 1.
    """
    _require_layers(layers)
    for start in range(layers):
        for stop in range(start + 1, layers + 1):
            yield Segment(start, stop)


def _require_layers(layers: int) -> None:
    if layers < 1:
        raise SplitError(f"a network of {layers} layers has no splits; at least 1 layer is needed")
