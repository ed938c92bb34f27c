"""Estimate what would take too long to measure, from the optimiser's complexity, fitted on what was measured.

Evaluation time is taken as proportional to complexity, with one rate for each set of key parameters: circuits that share them
do the same work for each lookup. Other costs follow from counts: encryption from the values sent, decryption from the values
received, memory from keys and ciphertexts.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from cryptml.errors import MeasurementError

MODEL = (
    "evaluation time = rate x the optimiser's complexity, the rate being the median of the measured segments with the same key "
    "parameters and up to twice or half the complexity, else of those with the same key parameters, else of all; errors by "
    "leaving each measured segment out"
)

FITTED = ("evaluate_ms", "client_peak_bytes", "server_peak_bytes")
"""Costs whose estimate is judged."""

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
        points: What was measured and has lookups.
        errors: By cost, median and worst of the relative errors, each point predicted from the others (0.03 is 3 %); memory
            above the baseline.
    """

    points: int
    errors: Mapping[str, tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        """Return the fit as a report holds it."""
        return {
            "model": MODEL,
            "points": self.points,
            "errors": {name: {"median": median, "worst": worst} for name, (median, worst) in self.errors.items()},
        }


def is_near(point: Point, other: Point) -> bool:
    """Return whether one segment's cost says enough of another's: same key parameters, complexity within `NEAR`."""
    ratio = point.complexity / other.complexity
    return point.key_parameters == other.key_parameters and 1 / NEAR <= ratio <= NEAR


def expected_evaluate_ms(point: Point, measured: Sequence[Point]) -> float | None:
    """Return the expected evaluation time, None where nothing was measured yet."""
    return _scaled(point, measured, itemgetter("evaluate_ms"), SCALES["evaluate_ms"])


def fit(measured: Sequence[Point]) -> Fit | None:
    """Return the errors of the model, None below two measured segments."""
    if len(measured) < 2:
        return None
    errors: dict[str, list[float]] = {name: [] for name in FITTED}
    for index, point in enumerate(measured):
        expected = estimate(point, [*measured[:index], *measured[index + 1 :]])
        for name, found in errors.items():
            truth = (point.cost or {})[name]
            if truth > 0:
                found.append(abs(expected[name] - truth) / truth)
    return Fit(len(measured), {name: (statistics.median(found), max(found)) for name, found in errors.items() if found})


def estimate(point: Point, measured: Sequence[Point]) -> dict[str, float]:
    """Return all costs of a segment.

    Raises:
        MeasurementError: If no segment with lookups was measured.
    """
    costs: dict[str, float] = {}
    for name, scale in SCALES.items():
        value = _scaled(point, measured, itemgetter(name), scale)
        if value is None:
            raise MeasurementError("no segment with lookups was measured, so nothing can be estimated from complexity")
        costs[name] = value
    for side, features in TRANSIENTS.items():
        costs[f"{side}_peak_bytes"] = costs[f"{side}_retained_bytes"] + _fitted_transient(
            point, measured, side, features
        )
    return costs


Scale = Callable[[Point], float]

SCALES: dict[str, Scale] = {
    "evaluate_ms": lambda each: each.complexity,
    "keygen_ms": lambda each: each.expanded_key_bytes,
    "load_keys_ms": lambda each: each.expanded_key_bytes,
    "encrypt_ms": lambda each: each.inputs,
    "decrypt_ms": lambda each: each.outputs,
    "client_keygen_peak_bytes": lambda each: each.expanded_key_bytes,
    "client_retained_bytes": lambda each: each.expanded_key_bytes,
    "server_retained_bytes": lambda each: each.expanded_key_bytes,
}
"""What each cost is proportional to, for the same key parameters."""

TRANSIENTS: dict[str, tuple[Scale, ...]] = {
    "client": (lambda each: each.download_bytes,),
    "server": (
        lambda each: each.expanded_key_bytes,
        lambda each: each.widest_bytes,
        lambda each: each.download_bytes,
    ),
}
"""What a side's peak adds to what it retains is a sum of multiples of these: the answer's ciphertexts, the server's keys and tensors."""


def _fitted_transient(point: Point, measured: Sequence[Point], side: str, features: tuple[Scale, ...]) -> float:
    """Fit the multiples on segments with the same key parameters, on all where there are too few (least squares, none negative)."""
    from scipy.optimize import nnls  # here, because most commands estimate nothing

    alike = [each for each in measured if each.key_parameters == point.key_parameters]
    alike = alike if len(alike) >= len(features) else list(measured)
    known = [(each, each.cost) for each in alike if each.cost is not None]
    matrix = np.array([[scale(each) for scale in features] for each, _ in known], dtype=np.float64)
    values = np.array([max(0.0, _transient(side, cost)) for _, cost in known])
    units = np.maximum(matrix.max(axis=0), 1.0)
    multiples, _ = nnls(matrix / units, values)
    return float(
        sum(multiple * scale(point) / unit for multiple, scale, unit in zip(multiples, features, units, strict=True))
    )


def _transient(side: str, cost: Mapping[str, float]) -> float:
    return cost[f"{side}_peak_bytes"] - cost[f"{side}_retained_bytes"]


def _scaled(
    point: Point, measured: Sequence[Point], value: Callable[[Mapping[str, float]], float], scale: Scale
) -> float | None:
    alike = [each for each in measured if each.key_parameters == point.key_parameters]
    near = [each for each in alike if is_near(point, each)]
    alike = near or alike or list(measured)
    rates = [value(each.cost) / scale(each) for each in alike if each.cost is not None and scale(each) > 0]
    return statistics.median(rates) * scale(point) if rates else None
