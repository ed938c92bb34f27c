"""What integers can occur in a tensor, in the worst case."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryptml.errors import NetworkError

IntArray = NDArray[np.int64]

MOST_VALUES = 1 << 24
"""Of one tensor: the pixels of the largest region, 4096 x 4096."""

LARGEST = 1 << 40
"""Bound of what can occur, far above what any circuit holds: sums of two such, or of the windows of a pooling, are exact in 64 bits."""


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

    def __post_init__(self) -> None:
        if math.prod(self.shape) > MOST_VALUES:
            raise NetworkError(
                f"a tensor of shape {self.shape} has more than {MOST_VALUES} values; make the network smaller"
            )
        if self.low.size and not (
            self.low.min() >= -LARGEST and self.high.max() <= LARGEST and (self.low <= self.high).all()
        ):
            raise NetworkError(
                f"values from {self.low.min()} to {self.high.max()} can occur in a tensor of shape {self.shape}; they must lie in "
                f"[{-LARGEST}, {LARGEST}]"
            )

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
