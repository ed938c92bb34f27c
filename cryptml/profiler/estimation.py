"""Estimate what would take too long to measure, from the optimiser's complexity, fitted on what was measured.

Evaluation time is taken as proportional to complexity, with one rate for each set of key parameters: circuits that share them
do the same work for each lookup. Other costs follow from counts: encryption from the values sent, decryption from the values
received, memory from keys and ciphertexts.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cryptml.errors import MeasurementError

MODEL = (
    "evaluation time = rate x the optimiser's complexity, the rate being the median of the measured segments with the same key "
    "parameters and up to twice or half the complexity, else of those with the same key parameters, else of all; errors by "
    "leaving each measured segment out"
)

NEAR = 2.0
"""Up to this ratio of complexities, one segment stands for another: beyond, caches and memory change the rate."""


@dataclass(frozen=True)
class Point:
    """A segment with lookups, measured or to be estimated.

    Attributes:
        key_parameters: Digest of its key parameters.
        complexity: The optimiser's figure.
        inputs: Values encrypted.
        outputs: Values decrypted.
        expanded_key_bytes: Evaluation keys in an evaluator's memory.
        download_bytes: One encrypted output.
        widest_bytes: The largest ciphertext tensor that the evaluation holds.
        cost: As in a report; None where it is to be estimated.
    """

    key_parameters: str
    complexity: float
    inputs: int
    outputs: int
    expanded_key_bytes: int
    download_bytes: int
    widest_bytes: int
    cost: dict[str, float] | None = None


@dataclass(frozen=True)
class Fit:
    """How well the model does on what it was fitted on.

    Attributes:
        points: Measured segments.
        median_error: Of the relative errors of evaluation time, each segment predicted from the others (0.03 is 3 %).
        worst_error: Of the same.
    """

    points: int
    median_error: float
    worst_error: float

    def to_json(self) -> dict[str, Any]:
        """Return the fit as a report holds it."""
        return {
            "model": MODEL,
            "points": self.points,
            "median_error": self.median_error,
            "worst_error": self.worst_error,
        }


def is_near(point: Point, other: Point) -> bool:
    """Return whether one segment's cost says enough of another's: same key parameters, complexity within `NEAR`."""
    ratio = point.complexity / other.complexity
    return point.key_parameters == other.key_parameters and 1 / NEAR <= ratio <= NEAR


def expected_evaluate_ms(point: Point, measured: Sequence[Point]) -> float | None:
    """Return the expected evaluation time, None where nothing was measured yet."""
    return _scaled(point, measured, "evaluate_ms", lambda each: each.complexity)


def fit(measured: Sequence[Point]) -> Fit | None:
    """Return the errors of the model, None below two measured segments."""
    if len(measured) < 2:
        return None
    errors = []
    for index, point in enumerate(measured):
        expected = expected_evaluate_ms(point, [*measured[:index], *measured[index + 1 :]])
        found = (point.cost or {})["evaluate_ms"]
        errors.append(abs((expected or 0.0) - found) / found)
    return Fit(len(measured), statistics.median(errors), max(errors))


def estimate(point: Point, measured: Sequence[Point]) -> dict[str, float]:
    """Return all costs of a segment.

    Raises:
        MeasurementError: If no segment with lookups was measured.
    """
    scales: dict[str, Callable[[Point], float]] = {
        "evaluate_ms": lambda each: each.complexity,
        "keygen_ms": lambda each: each.expanded_key_bytes,
        "encrypt_ms": lambda each: each.inputs,
        "decrypt_ms": lambda each: each.outputs,
        "client_peak_bytes": lambda each: each.expanded_key_bytes + each.download_bytes,
        "client_retained_bytes": lambda each: each.expanded_key_bytes,
        "server_peak_bytes": lambda each: each.expanded_key_bytes + each.widest_bytes,
        "server_retained_bytes": lambda each: each.expanded_key_bytes,
    }
    costs = {}
    for name, scale in scales.items():
        value = _scaled(point, measured, name, scale)
        if value is None:
            raise MeasurementError("no segment with lookups was measured, so nothing can be estimated from complexity")
        costs[name] = value
    return costs


def _scaled(point: Point, measured: Sequence[Point], name: str, scale: Callable[[Point], float]) -> float | None:
    alike = [each for each in measured if each.key_parameters == point.key_parameters]
    near = [each for each in alike if is_near(point, each)]
    alike = near or alike or list(measured)
    rates = [each.cost[name] / scale(each) for each in alike if each.cost is not None and scale(each) > 0]
    return statistics.median(rates) * scale(point) if rates else None
