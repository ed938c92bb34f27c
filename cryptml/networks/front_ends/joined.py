"""Several front ends side by side, each at a scale of its own: all that they say of one region."""

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
"""What may be a part."""

MOST_PARTS = 4


@dataclass(frozen=True)
class Joined:
    """The features of several front ends, one after the other; a part of a smaller side reads the region reduced by averages.

    Attributes:
        side: Rows and columns of the region that it takes, in pixels.
        parts: In order; the side of each divides ``side``.
    """

    side: int
    parts: tuple[Deep | Scattering, ...]
    kind: ClassVar[str] = "joined"

    def __post_init__(self) -> None:
        if not 1 <= len(self.parts) <= MOST_PARTS:
            raise NetworkError(f"{len(self.parts)} front ends cannot be joined; give 1 to {MOST_PARTS}")
        for part in self.parts:
            if self.side % part.side:
                raise NetworkError(
                    f"a front end of side {part.side} cannot read a region of side {self.side} in whole averages; choose a divisor"
                )

    @property
    def shape(self) -> tuple[int]:
        """Shape of what it gives, (features,)."""
        return (sum(part.shape[0] for part in self.parts),)

    @property
    def description(self) -> str:
        """See `FrontEnd.description`."""
        told = [
            f"{'' if part.side == self.side else f'reduced to {part.side} x {part.side}, '}{part.description}"
            for part in self.parts
        ]
        return f"{'; and '.join(told)}; {self.shape[0]} features together"

    def apply(self, regions: FloatArray) -> FloatArray:
        """Return (batch, features) float32 for (batch, side, side) regions in [0, 1]; computed on the client."""
        if regions.ndim != 3 or regions.shape[1:] != (self.side, self.side):
            raise NetworkError(f"regions of shape {regions.shape} do not fit; give (batch, {self.side}, {self.side})")
        found: FloatArray = np.concatenate([part.apply(_reduce(regions, part.side)) for part in self.parts], axis=1)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the front end as JSON values."""
        return {"kind": self.kind, "side": self.side, "parts": [part.to_json() for part in self.parts]}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Joined:
        """Read what `to_json` wrote; the caller has checked it against the schema.

        Raises:
            NetworkError: If a part is out of its bounds, or was written with other weights than this package has.
        """
        of_kind = {each.kind: each for each in PARTS}
        return Joined(data["side"], tuple(of_kind[each["kind"]].from_json(each) for each in data["parts"]))


def _reduce(regions: FloatArray, side: int) -> FloatArray:
    """Return (batch, side, side) averages of windows."""
    window = regions.shape[1] // side
    if window == 1:
        return regions
    found: FloatArray = regions.reshape(-1, side, window, side, window).mean(axis=(2, 4), dtype=np.float32)
    return found
