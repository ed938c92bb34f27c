"""What every front end offers."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from cryptml.networks.boundary import FloatArray


class FrontEnd(Protocol):
    """Fixed, public preprocessing before the first boundary; it runs on the client, in the clear.

    Nothing in it is learned from the data that a network is trained on, so nothing is lost by handing it out.

    Attributes:
        kind: Its name in documents.
    """

    kind: ClassVar[str]

    @property
    def side(self) -> int:
        """Rows and columns of the region that it takes, in pixels."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what it gives for one region, which is that of the first boundary."""
        ...

    @property
    def description(self) -> str:
        """What it does to a region, to go on after "a region of 32 x 32 pixels, "."""
        ...

    def apply(self, regions: FloatArray) -> FloatArray:
        """Return (batch, *shape) float32 for (batch, side, side) regions in [0, 1].

        Raises:
            NetworkError: If the regions have another shape.
        """
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the front end as JSON values, ``kind`` among them."""
        ...
