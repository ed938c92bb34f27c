"""Rows of numbers: a table's columns instead of a picture's pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cryptml.errors import NetworkError
from cryptml.networks.boundary import FloatArray


@dataclass(frozen=True)
class Row:
    """The first numbers of a region, in reading order; nothing is standardised, because columns are not pixels of one film.

    Attributes:
        side: Rows and columns of the region that holds them: its least whole number.
        count: Numbers that it takes, 1 to side^2.
        reach: 0 becomes -reach, and 1 becomes reach.
    """

    side: int
    count: int
    reach: float = 3.0
    kind: ClassVar[str] = "row"

    def __post_init__(self) -> None:
        if not (1 <= self.side <= 4096 and (self.side - 1) ** 2 < self.count <= self.side**2 and 0 < self.reach <= 100):
            raise NetworkError(
                f"front end of {self.count} numbers in a side of {self.side}, reach {self.reach}; side lies in [1, 4096], and is the "
                "least whose square holds the numbers, reach lies in (0, 100]"
            )

    @staticmethod
    def of(count: int) -> Row:
        """Return the front end of so many numbers.

        Raises:
            NetworkError: If there are none, or more than a region holds.
        """
        return Row(math.isqrt(max(count, 1) - 1) + 1, count)

    @property
    def shape(self) -> tuple[int]:
        """Shape of what it gives, (count,)."""
        return (self.count,)

    @property
    def description(self) -> str:
        """See `FrontEnd.description`."""
        return f"of which the first {self.count} numbers are taken as they are"

    def fill(self, rows: FloatArray) -> FloatArray:
        """Return regions (batch, side, side) float32 that hold rows (batch, count) of numbers in [0, 1]; the rest is 0.5."""
        if rows.ndim != 2 or rows.shape[1] != self.count:
            raise NetworkError(f"rows of shape {rows.shape} do not fit; give (batch, {self.count})")
        filled = np.full((len(rows), self.side**2), 0.5, dtype=np.float32)
        filled[:, : self.count] = rows
        return filled.reshape(-1, self.side, self.side)

    def apply(self, regions: FloatArray) -> FloatArray:
        """Return (batch, count) float32 in [-reach, reach] for (batch, side, side) regions in [0, 1]; computed on the client."""
        if regions.ndim != 3 or regions.shape[1:] != (self.side, self.side):
            raise NetworkError(f"regions of shape {regions.shape} do not fit; give (batch, {self.side}, {self.side})")
        numbers = regions.reshape(len(regions), -1)[:, : self.count].astype(np.float64)
        return np.clip((2 * numbers - 1) * self.reach, -self.reach, self.reach).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Return the front end as JSON values."""
        return {"kind": self.kind, "side": self.side, "count": self.count, "reach": self.reach}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Row:
        """Read what `to_json` wrote; the caller has checked it against the schema."""
        return Row(data["side"], data["count"], data["reach"])
