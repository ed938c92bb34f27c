"""What integers can occur in a tensor, in the worst case."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Extent:
    """What can occur at a boundary, a channel at a time.

    Attributes:
        shape: Without the batch axis.
        low: (channels,) int64, the smallest value of each channel over all inputs.
        high: (channels,) int64, the largest.
    """

    shape: tuple[int, ...]
    low: IntArray
    high: IntArray

    @property
    def bounds(self) -> tuple[int, int]:
        """The smallest and the largest value of any channel."""
        return int(self.low.min()), int(self.high.max())

    @property
    def bits(self) -> int:
        """Bits that hold every value of every channel."""
        return bits_for(*self.bounds)

    @property
    def per_value_low(self) -> IntArray:
        """The smallest value of each single value, (*shape)."""
        return self._spread(self.low)

    @property
    def per_value_high(self) -> IntArray:
        """The largest value of each single value, (*shape)."""
        return self._spread(self.high)

    def _spread(self, values: IntArray) -> IntArray:
        return np.broadcast_to(values.reshape(-1, *[1] * (len(self.shape) - 1)), self.shape)


def bits_for(low: int, high: int) -> int:
    """Return the fewest bits that hold every integer in [low, high]; two's complement where ``low`` is negative."""
    if low < 0:
        return max((-low - 1).bit_length(), max(high, 0).bit_length()) + 1
    return max(1, high.bit_length())
