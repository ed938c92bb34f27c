"""What an attack comes to: a surrogate of a segment, and whom it asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cryptml.networks.extent import IntArray


class Answers(Protocol):
    """The part of `cryptml.exposure.oracles.Oracle` that attacks use."""

    def query(self, values: IntArray) -> IntArray:
        """See `cryptml.exposure.oracles.Oracle.query`."""
        ...


@dataclass(frozen=True)
class Surrogate:
    """A model that answers in a segment's place.

    Attributes:
        predict: (batch, *reads.shape) int64 to (batch, *writes.shape) int64.
        method: One sentence.
        complete: Whether the attack leaves no input undetermined, by its own construction.
        table: (channels, entries) int64, the fitted table, if there is one.
        first: Input of the table's first entry.
        found: (channels, entries) bool, the entries that were seen.
        kernel: (out, in, rows, columns) int64 in front of the table, if one was fitted.
    """

    predict: Callable[[IntArray], IntArray] = field(repr=False)
    method: str
    complete: bool = False
    table: IntArray | None = None
    first: int = 0
    found: NDArray[np.bool_] | None = None
    kernel: IntArray | None = None
