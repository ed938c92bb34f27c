"""The noise that approximate rounding adds to an accumulator, as the training and the simulation see it."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from cryptml.networks.bins import Bins
from cryptml.networks.extent import IntArray
from cryptml.networks.operations import NumpyOperations

DEFAULT_P_ERROR = 2.0**-40
"""Probability that one programmable bootstrap gives a wrong result: Concrete's own default, and the noise that training adds."""


def bin_deviation(p_error: float) -> float:
    """Return the deviation of Concrete's noise in widths of a bin, where parameters are chosen for a p_error.

    A bootstrap is wrong where Gaussian noise exceeds half a bin: ``p_error = P(|noise| > 1/2)``. Parameters are discrete, so a
    circuit's noise may be less, never more.
    """
    return -0.5 / NormalDist().inv_cdf(p_error / 2)


@dataclass(frozen=True)
class NoisyOperations(NumpyOperations):
    """Execution on int64 arrays as in one circuit, with Concrete's noise in front of every table that drops bits.

    Beyond a table's end Concrete reads it again from its beginning, with the opposite sign (the polynomial X^N + 1 that tables are turned
    in): what that does to answers is simulated too.

    Attributes:
        p_error: Of the circuit.
        generator: Source of the noise.
    """

    p_error: float
    generator: np.random.Generator

    def look_up(self, x: IntArray, tables: IntArray, bins: Bins) -> IntArray:
        """See `Operations.look_up`."""
        deviation = bin_deviation(self.p_error) * bins.width if bins.dropped_bits else 0.0
        noise = deviation * self.generator.standard_normal(x.shape)
        numbers = np.floor((x - bins.low + 0.5 + noise) / bins.width).astype(np.int64)
        turns, inside = np.divmod(numbers, 1 << bins.bits)
        found = super().look_up(inside.clip(0, bins.count - 1), tables, Bins(0, bins.count))
        return np.where(turns % 2, -found, found)
