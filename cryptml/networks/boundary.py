"""The tensor between two layers, on an integer grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryptml.errors import NetworkError
from cryptml.networks.extent import Extent, IntArray, bits_for

FloatArray = NDArray[np.float32]

SCALES = (2.0**-64, 2.0**64)
"""The least and the largest scale of a grid: what stands on it is divided and multiplied by scales in float32."""


@dataclass(frozen=True)
class Boundary:
    """What may stand between two layers: every value ``q`` is an integer in ``[low, high]``.

    The real number behind it is ``scale * (q - zero)``, a channel (first axis of ``shape``) at a time. Accumulators are
    shifted so that their ``low`` is 0, because an unsigned range wastes no bit of a programmable bootstrap; their ``zero``
    says by how much.

    Attributes:
        shape: Without the batch axis: (channels, rows, columns) or (features,).
        low: Smallest integer that can occur, whatever the input; exact, not sampled.
        high: Largest integer that can occur.
        scale: One positive float, or one a channel. Empty where the holder has no business knowing it (a client's bundle
            holds the scales of the first and of the last boundary only).
        zero: One integer, or one a channel: the grid's image of 0.0.
    """

    shape: tuple[int, ...]
    low: int
    high: int
    scale: tuple[float, ...] = ()
    zero: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if not self.shape or any(length < 1 for length in self.shape):
            raise NetworkError(f"a boundary's shape {self.shape} must have one axis or more, each of 1 or more")
        if self.low > self.high:
            raise NetworkError(f"a boundary's range [{self.low}, {self.high}] is empty; low must not exceed high")
        for name, values in (("scale", self.scale), ("zero", self.zero)):
            if len(values) not in (0, 1, self.channels):
                raise NetworkError(
                    f"a boundary's {name} has {len(values)} entries; give 1 or {self.channels} (channels)"
                )
        if any(not SCALES[0] <= value <= SCALES[1] for value in self.scale):
            raise NetworkError(
                f"a boundary's scale must be finite and above 0, and must lie in [{SCALES[0]:.3g}, {SCALES[1]:.3g}]"
            )

    @property
    def channels(self) -> int:
        """Length of the first axis."""
        return self.shape[0]

    @property
    def size(self) -> int:
        """Values in one tensor."""
        return math.prod(self.shape)

    @property
    def signed(self) -> bool:
        """Whether negative integers can occur."""
        return self.low < 0

    @property
    def bits(self) -> int:
        """Fewest bits that hold every value (two's complement where signed)."""
        return bits_for(self.low, self.high)

    def extent(self) -> Extent:
        """Return the range of every channel, which is the same for all."""
        return Extent(
            self.shape, np.full(self.channels, self.low, np.int64), np.full(self.channels, self.high, np.int64)
        )

    def quantise(self, values: FloatArray) -> IntArray:
        """Put real numbers on the grid, clipped to its range.

        Args:
            values: (batch, *shape) float32.

        Returns:
            (batch, *shape) int64 in ``[low, high]``. Rounding is half to even, in float32, as in training.
        """
        return np.clip(self._round(values), self.low, self.high).astype(np.int64)

    def clipped_share(self, values: FloatArray) -> float:
        """Return the share, 0 to 1, of real numbers (batch, *shape) that `quantise` moves to an end of the range."""
        rounded = self._round(values)
        return float(((rounded < self.low) | (rounded > self.high)).mean())

    def dequantise(self, values: IntArray) -> FloatArray:
        """Return the real numbers (float32) behind grid values of shape (batch, *shape)."""
        centred = values - self._per_channel(self.zero, np.int64)
        return (centred * self._per_channel(self.scale, np.float64)).astype(np.float32)

    def describe_violation(self, values: IntArray) -> str | None:
        """Say how (batch, *shape) integers break this boundary, or return None where they keep it."""
        if values.shape[1:] != self.shape:
            return f"shape {values.shape[1:]} instead of {self.shape}"
        if values.size and (values.min() < self.low or values.max() > self.high):
            return f"values in [{values.min()}, {values.max()}] outside [{self.low}, {self.high}]"
        return None

    def without_grid(self) -> Boundary:
        """Return the same shape and range with neither scale nor zero."""
        return Boundary(self.shape, self.low, self.high)

    def to_json(self) -> dict[str, Any]:
        """Return the boundary as JSON values."""
        return {
            "shape": list(self.shape),
            "low": self.low,
            "high": self.high,
            "bits": self.bits,
            "signed": self.signed,
            "scale": list(self.scale),
            "zero": list(self.zero),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Boundary:
        """Read what `to_json` wrote; the caller has checked it against the schema."""
        return Boundary(tuple(data["shape"]), data["low"], data["high"], tuple(data["scale"]), tuple(data["zero"]))

    def _round(self, values: FloatArray) -> NDArray[np.float32]:
        quotient = values.astype(np.float32) / self._per_channel(self.scale, np.float32)
        rounded: NDArray[np.float32] = np.rint(quotient) + self._per_channel(self.zero, np.float32)
        return rounded

    def _per_channel(self, values: tuple[float, ...] | tuple[int, ...], dtype: Any) -> NDArray[Any]:
        if not values:
            raise NetworkError(f"the grid of the boundary of shape {self.shape} is withheld from this side")
        return np.asarray(values, dtype=dtype).reshape(-1, *[1] * (len(self.shape) - 1))
