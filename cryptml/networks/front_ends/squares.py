"""The features of every square of a picture, side by side: for networks that answer about the whole and tell nothing of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cryptml.errors import NetworkError
from cryptml.networks.boundary import FloatArray
from cryptml.networks.front_ends.deep import Deep
from cryptml.networks.front_ends.scattering import Scattering

PARTS = (Deep, Scattering)
"""What may read a square."""

MOST = 8
"""Squares along each side."""


@dataclass(frozen=True)
class Squares:
    """Cuts a region into squares of one size and gives the features of each, as a map of so many squares each way.

    Attributes:
        across: Squares along each side, 2 to 8.
        part: Reads one square.
    """

    across: int
    part: Deep | Scattering
    kind: ClassVar[str] = "squares"

    def __post_init__(self) -> None:
        if not 2 <= self.across <= MOST:
            raise NetworkError(f"a front end with {self.across} squares along each side; give 2 to {MOST}")

    @property
    def side(self) -> int:
        """Rows and columns of the region that it takes, in pixels."""
        return self.across * self.part.side

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of what it gives, (features, across, across)."""
        return (self.part.shape[0], self.across, self.across)

    @property
    def description(self) -> str:
        """See `FrontEnd.description`."""
        return f"cut into {self.across} x {self.across} squares, each {self.part.description}"

    def apply(self, regions: FloatArray) -> FloatArray:
        """Return (batch, features, across, across) float32 for (batch, side, side) regions in [0, 1]; computed on the client."""
        if regions.ndim != 3 or regions.shape[1:] != (self.side, self.side):
            raise NetworkError(f"regions of shape {regions.shape} do not fit; give (batch, {self.side}, {self.side})")
        length = self.part.side
        cut = regions.reshape(len(regions), self.across, length, self.across, length).swapaxes(2, 3)
        found = self.part.apply(np.ascontiguousarray(cut).reshape(-1, length, length))
        maps = found.reshape(len(regions), self.across, self.across, -1)
        return np.ascontiguousarray(np.moveaxis(maps, -1, 1))

    def to_json(self) -> dict[str, Any]:
        """Return the front end as JSON values."""
        return {"kind": self.kind, "side": self.side, "across": self.across, "part": self.part.to_json()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Squares:
        """Read what `to_json` wrote; the caller has checked it against the schema.

        Raises:
            NetworkError: If the part is out of its bounds, was written with other weights than this package has, or does not fill the side.
        """
        part = next(each for each in PARTS if each.kind == data["part"]["kind"]).from_json(data["part"])
        found = Squares(data["across"], part)
        if found.side != data["side"]:
            raise NetworkError(
                f"{found.across} squares of side {part.side} along each side do not make a side of {data['side']}; train it again"
            )
        return found
