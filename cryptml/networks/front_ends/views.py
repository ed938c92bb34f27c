"""Several views, or colour planes, of one case as channels: they lie side by side in one region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cryptml.errors import NetworkError
from cryptml.networks.boundary import FloatArray
from cryptml.networks.front_ends.standardisation import Standardisation

MOST = 8
"""Views along one side of a region."""


@dataclass(frozen=True)
class Views:
    """Cuts a region into squares of one size, each a channel that is standardised by its own mean and deviation.

    The four standard views of a mammography are 2 x 2 squares; three colour planes are three of 2 x 2, the fourth left black.

    Attributes:
        side: Rows and columns of the region that it takes, in pixels: a multiple of ``across``.
        across: Squares along each side, 1 to 8; the region holds across x across, row by row.
        floor: See `Standardisation`.
        limit: See there.
    """

    side: int
    across: int = 2
    floor: float = 0.02
    limit: float = 3.0
    kind: ClassVar[str] = "views"

    def __post_init__(self) -> None:
        if not 1 <= self.across <= MOST or self.side % self.across:
            raise NetworkError(
                f"front end with {self.across} views across a side of {self.side}; give 1 to {MOST} views, and a side that they divide"
            )
        Standardisation(self.side, self.floor, self.limit)  # refuses the rest

    def _each(self) -> Standardisation:
        return Standardisation(self.side // self.across, self.floor, self.limit)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of what it gives, (across^2, side / across, side / across)."""
        return (self.across**2, self.side // self.across, self.side // self.across)

    @property
    def description(self) -> str:
        """See `FrontEnd.description`."""
        return f"cut into {self.across} x {self.across} views, each standardised by its own mean and deviation"

    def apply(self, regions: FloatArray) -> FloatArray:
        """Return (batch, across^2, side / across, side / across) float32 for (batch, side, side) regions in [0, 1]; on the client."""
        if regions.ndim != 3 or regions.shape[1:] != (self.side, self.side):
            raise NetworkError(f"regions of shape {regions.shape} do not fit; give (batch, {self.side}, {self.side})")
        views, length, _ = self.shape
        cut = regions.reshape(len(regions), self.across, length, self.across, length).swapaxes(2, 3)
        squares = np.ascontiguousarray(cut).reshape(-1, length, length)
        return self._each().apply(squares).reshape(len(regions), views, length, length)

    def to_json(self) -> dict[str, Any]:
        """Return the front end as JSON values."""
        return {
            "kind": self.kind,
            "side": self.side,
            "across": self.across,
            "floor": self.floor,
            "limit": self.limit,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Views:
        """Read what `to_json` wrote; the caller has checked it against the schema."""
        return Views(data["side"], data["across"], data["floor"], data["limit"])
