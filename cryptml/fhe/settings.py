"""What Concrete is asked for when a segment is compiled: the probability of error, and how bootstraps share key parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from cryptml.errors import SettingError
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR


class Grouping(StrEnum):
    """Which bootstraps of a circuit take the same key parameters; every further group adds keys.

    Attributes:
        WIDTH: Those whose inputs are as wide: Concrete's default.
        WIDTH_AND_NORM: Those whose inputs are as wide and come from weights of a similar norm, so that large weights before some
            bootstraps do not make the others dearer.
    """

    WIDTH = "width"
    WIDTH_AND_NORM = "width-and-norm"


class Rounding(StrEnum):
    """How a table that drops the lowest bits of its input gets rid of them.

    Attributes:
        APPROXIMATE: For nothing; a value close to the edge of a bin may be read as the table entry beside it. What training simulates.
        EXACT: By one bootstrap a bit; every bin is read right.
    """

    APPROXIMATE = "approximate"
    EXACT = "exact"


@dataclass(frozen=True)
class CompilerSettings:
    """Settings of one segment's compilation; the security level, 128 bits, is none of them.

    Attributes:
        p_error: Probability, at most, that one bootstrap reads a wrong entry, in (0, 1).
        grouping: Of bootstraps, by key parameters.
        rounding: Of what tables read.

    Raises:
        SettingError: If ``p_error`` is no probability.
    """

    p_error: float = DEFAULT_P_ERROR
    grouping: Grouping = Grouping.WIDTH
    rounding: Rounding = Rounding.APPROXIMATE

    def __post_init__(self) -> None:
        if not 0 < self.p_error < 1:
            raise SettingError(f"p_error is {self.p_error}; it lies between 0 and 1, 2^-40 by default")


DEFAULT_COMPILER_SETTINGS = CompilerSettings()

DEFAULT_MAX_FAILURE = 2.0**-30
"""Probability, at most, that a whole answer holds a failed bootstrap: once in a thousand million answers; `DEFAULT_P_ERROR` keeps it
for up to 1024 bootstraps."""


def p_error_within(max_failure: float, bootstraps: int) -> float:
    """Return the p_error that keeps a whole answer's probability of a wrong bootstrap, ``1 - (1 - p_error)^bootstraps``, at a bound.

    Args:
        max_failure: The bound, in (0, 1).
        bootstraps: Of one answer; with none, anything keeps the bound.
    """
    return float(-np.expm1(np.log1p(-max_failure) / max(1, bootstraps)))


def power(probability: float) -> str:
    """Return a probability as a power of 2, never less than it is; 0 as it is."""
    return f"2^{math.ceil(10 * math.log2(probability) - 1e-6) / 10:g}" if probability else "0"
