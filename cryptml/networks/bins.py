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

    Bins may be negacyclic instead, and then all values are safe: behind the last comes the first again, whose entry then counts with the
    opposite sign, and so on without an end, both ways. That is how Concrete reads every table (the polynomial X^N + 1 that it is turned
    in; Chillotti, Gama, Georgieva and Izabachene, "TFHE: fast fully homomorphic encryption over the torus", 2020); a table made
    for it is right everywhere.

    Attributes:
        low: The smallest integer of the first bin.
        count: How many, 1 or more: the entries of a table.
        dropped_bits: Lowest bits that make no difference; 0 gives every integer a bin of its own.
        negacyclic: Whether values beyond the ends are read again with the opposite sign; ``count`` is a power of two then.
    """

    low: int
    count: int
    dropped_bits: int = 0
    negacyclic: bool = False

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.dropped_bits <= MOST_DROPPED_BITS:
            raise NetworkError(
                f"a table of {self.count} entries cannot drop {self.dropped_bits} bits; "
                f"give 1 entry or more and 0 to {MOST_DROPPED_BITS} bits"
            )
        if self.negacyclic and self.count != 1 << self.bits:
            raise NetworkError(
                f"a negacyclic table cannot have {self.count} entries; give it a power of two, 2 or more"
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

    @property
    def numbers(self) -> int:
        """How many numbers `index` tells apart: a negacyclic table's bins count twice, once with either sign."""
        return 2 * self.count if self.negacyclic else self.count

    def index(self, values: IntArray) -> IntArray:
        """Return the number, 0 to ``numbers - 1``, of each value: its entry in what `whole` makes of a table."""
        found = (values - self.low) >> self.dropped_bits
        return found % self.numbers if self.negacyclic else found.clip(0, self.count - 1)

    def index_range(self, low: int, high: int) -> tuple[int, int]:
        """Return the smallest and the largest number that the values from ``low`` to ``high`` can have."""
        first, last = self.index(np.array([low, high])).tolist()
        spanned = (high - self.low >> self.dropped_bits) - (low - self.low >> self.dropped_bits)
        return (0, self.numbers - 1) if self.negacyclic and spanned != last - first else (first, last)

    def values_of(self, numbers: IntArray, low: int, high: int) -> IntArray:
        """Return, elementwise, a value from ``low`` to ``high`` of each number; the nearest end where there is none."""
        first = self.low + numbers * self.width
        if self.negacyclic:
            period = self.numbers * self.width
            first = (
                first - (first + self.width - 1 - low) // period * period
            )  # the first such bin that ends at low or later
        return first.clip(low, high)

    def whole(self, tables: IntArray) -> IntArray:
        """Return (channels, numbers) for (channels, count): the entry of every number."""
        return np.concatenate([tables, -tables], axis=1) if self.negacyclic else tables

    @property
    def safe(self) -> tuple[int, int]:
        """The smallest and the largest value that noise of half a bin cannot carry beyond the outermost edges, where these matter."""
        return self.low + self.width // 2, self.high - self.width // 2

    def hold(self, values: IntArray) -> NDArray[np.bool_]:
        """Return, elementwise, whether a circuit reads a value right, but for off by one table entry."""
        if self.negacyclic:
            return np.ones(values.shape, dtype=np.bool_)
        low, high = self.safe
        return (low <= values) & (values <= high)
