"""Each region on its own scale: the least that every network needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cryptml.errors import NetworkError
from cryptml.networks.boundary import FloatArray


@dataclass(frozen=True)
class Standardisation:
    """Each region minus its own mean, over its own deviation: films and scanners differ in both, lesions in neither.

    Attributes:
        side: Rows and columns of the region that it takes, in pixels.
        floor: Added to the deviation (pixels in [0, 1]), so that flat regions stay flat.
        limit: Results are clipped to [-limit, limit].
    """

    side: int
    floor: float = 0.02
    limit: float = 3.0
    kind: ClassVar[str] = "standardisation"

    def __post_init__(self) -> None:
        if not (1 <= self.side <= 4096 and 0 < self.floor <= 1 and 0 < self.limit <= 100):
            raise NetworkError(
                f"front end with side {self.side}, floor {self.floor}, limit {self.limit}; "
                "side lies in [1, 4096], floor in (0, 1], limit in (0, 100]"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of what it gives, (1, side, side)."""
        return (1, self.side, self.side)

    @property
    def description(self) -> str:
        """See `FrontEnd.description`."""
        return "standardised by its own mean and deviation"

    def apply(self, regions: FloatArray) -> FloatArray:
        """Return (batch, 1, side, side) float32 for (batch, side, side) regions in [0, 1]; computed on the client."""
        if regions.ndim != 3 or regions.shape[1:] != (self.side, self.side):
            raise NetworkError(f"regions of shape {regions.shape} do not fit; give (batch, {self.side}, {self.side})")
        values = regions.astype(np.float64)
        mean = values.mean(axis=(1, 2), keepdims=True)
        deviation = values.std(axis=(1, 2), keepdims=True) + self.floor
        standard = np.clip((values - mean) / deviation, -self.limit, self.limit)
        return standard.astype(np.float32)[:, None]

    def to_json(self) -> dict[str, Any]:
        """Return the front end as JSON values."""
        return {"kind": self.kind, "side": self.side, "floor": self.floor, "limit": self.limit}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Standardisation:
        """Read what `to_json` wrote; the caller has checked it against the schema."""
        return Standardisation(data["side"], data["floor"], data["limit"])
