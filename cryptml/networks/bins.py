"""Which values of an accumulator a table tells apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryptml.errors import NetworkError
from cryptml.networks.extent import IntArray

MOST_DROPPED_BITS = 16
"""Far more than any accumulator has beyond what a table reads."""


@dataclass(frozen=True)
class Bins:
    """``count`` intervals of ``2^dropped_bits`` integers each; bin i begins at ``low + i * 2^dropped_bits``.

    What lies below the first bin belongs to the first, what lies above the last to the last. A circuit that rounds approximately may read a
    value one bin off, and beyond the outermost edges there is nothing right to read: so it is sure of `safe` values alone.

    Attributes:
        low: The smallest integer of the first bin.
        count: How many, 1 or more: the entries of a table.
        dropped_bits: Lowest bits that make no difference; 0 gives every integer a bin of its own.
    """

    low: int
    count: int
    dropped_bits: int = 0

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.dropped_bits <= MOST_DROPPED_BITS:
            raise NetworkError(
                f"a table of {self.count} entries cannot drop {self.dropped_bits} bits; "
                f"give 1 entry or more and 0 to {MOST_DROPPED_BITS} bits"
            )

    @property
    def width(self) -> int:
        """Integers in one bin."""
        return 1 << self.dropped_bits

    @property
    def high(self) -> int:
        """The largest integer of the last bin."""
        return self.low + self.count * self.width - 1

    @property
    def bits(self) -> int:
        """Fewest bits that number the bins: the width of the table's input."""
        return max(1, (self.count - 1).bit_length())

    def index(self, values: IntArray) -> IntArray:
        """Return the bin, 0 to ``count - 1``, of each value."""
        return ((values - self.low) >> self.dropped_bits).clip(0, self.count - 1)

    @property
    def safe(self) -> tuple[int, int]:
        """The smallest and the largest value that noise of half a bin cannot carry beyond the outermost edges."""
        return self.low + self.width // 2, self.high - self.width // 2

    def hold(self, values: IntArray) -> NDArray[np.bool_]:
        """Return, elementwise, whether a circuit reads a value right, but for neighbouring bins."""
        low, high = self.safe
        return (low <= values) & (values <= high)
