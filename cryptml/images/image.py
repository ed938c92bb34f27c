"""A grey picture: float32 in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryptml.errors import ImageError

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Image:
    """One grey picture, checked once and read-only from then on.

    Attributes:
        pixels: float32 (rows, columns), each value in [0, 1] where 1 is white.
        source: How it was encoded, for example ``"DICOM, 16 bits"``; never a file or a person's name.

    Raises:
        ImageError: If the array has another shape or dtype, or a value that is not finite or outside [0, 1].
    """

    pixels: Floats
    source: str

    def __post_init__(self) -> None:
        if not isinstance(self.pixels, np.ndarray) or self.pixels.dtype != np.float32:
            found = getattr(self.pixels, "dtype", type(self.pixels).__name__)
            raise ImageError(f"a picture holds {found} where float32 is needed; build it with image_from_array")
        if self.pixels.ndim != 2 or self.pixels.size == 0:
            raise ImageError(
                f"a picture has the shape {self.pixels.shape} where (rows, columns) is needed; pass one grey plane"
            )
        if not np.isfinite(self.pixels).all():
            raise ImageError("a picture holds NaN or infinite values where [0, 1] is needed; repair or leave it out")
        low, high = float(self.pixels.min()), float(self.pixels.max())
        if low < 0 or high > 1:
            raise ImageError(f"a picture's values span [{low:g}, {high:g}], outside [0, 1]; normalise them first")
        self.pixels.flags.writeable = False

    @property
    def rows(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def columns(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])


def image_from_array(array: npt.ArrayLike, source: str = "array") -> Image:
    """Check a picture that is already in memory, and copy it.

    Args:
        array: Any float dtype, (rows, columns), values in [0, 1].
        source: What ``Image.source`` will say.

    Raises:
        ImageError: If it is not a two-dimensional float array of finite values in [0, 1].
    """
    values = np.asarray(array)
    if values.dtype.kind != "f":
        raise ImageError(f"a picture holds {values.dtype} where floats are needed; divide by its white value first")
    return Image(values.astype(np.float32, copy=True), source)
