"""The integer grid behind a layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryptml.networks.boundary import Boundary
from cryptml.networks.extent import IntArray
from cryptml.networks.layers import Layer

Reals = NDArray[np.float64]


def to_boundary(extent_layer: Layer, before: Boundary, scale: Reals, zero: IntArray) -> Boundary:
    """Return the boundary behind a layer, its range exact in the worst case."""
    extent = extent_layer.propagate(before.extent())
    return Boundary(
        extent.shape,
        int(extent.low.min()),
        int(extent.high.max()),
        tuple(float(value) for value in np.atleast_1d(scale)),
        tuple(int(value) for value in np.atleast_1d(zero)),
    )
