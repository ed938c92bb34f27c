"""What public pooling behind a table makes of its entries."""

from __future__ import annotations

from cryptml.exposure.knowledge import PublicLayer
from cryptml.networks.extent import IntArray
from cryptml.networks.operations import NumpyOperations


def pooled(values: IntArray, layers: list[PublicLayer]) -> IntArray:
    """Return the sums that public pooling layers make, one after another."""
    for layer in layers:
        values = NumpyOperations().sum_windows(values, layer.kernel, layer.stride, bounds=(0, 0))
    return values
