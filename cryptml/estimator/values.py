"""What a classifier reads: a table, or pictures, as numbers that were checked."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cryptml.errors import SettingError


def numbers(X: npt.ArrayLike) -> npt.NDArray[np.float64]:  # noqa: N803
    """Return a table (n, columns), or pictures (n, side, side).

    Raises:
        SettingError: If it is neither, or not finite.
    """
    try:
        values = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SettingError(f"X is no array of numbers ({error}); encode categories as numbers first") from error
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim not in (2, 3) or 0 in values.shape or (values.ndim == 3 and values.shape[1] != values.shape[2]):
        raise SettingError(f"X has the shape {values.shape}; give a table (n, columns), or pictures (n, side, side)")
    if not np.isfinite(values).all():
        raise SettingError(
            f"X has {np.sum(~np.isfinite(values))} values that are not finite; fill them in or leave them out"
        )
    if values.ndim == 3 and (values.min() < 0 or values.max() > 1):
        raise SettingError(f"X has pictures from {values.min():g} to {values.max():g}; bring them into [0, 1]")
    return values
