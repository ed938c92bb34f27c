"""What an evaluation costs on this machine, before anything is trained: a model fitted on measured segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from cryptml.errors import ReportError
from cryptml.fhe.circuit_spec import CircuitSpec

FEWEST = 5
"""Measured segments that a model is fitted on, at least: it has four coefficients."""


@dataclass(frozen=True)
class PriceModel:
    """Evaluation time in milliseconds: a call, its ciphertexts, and the optimiser's complexity; none of them below 0.

    Attributes:
        call: ms an evaluation.
        received: ms a kilobyte of its encrypted input.
        sent: ms a kilobyte of its encrypted result.
        work: ms a million of complexity.
        points: Segments that it was fitted on.
        median_error: Of the relative errors when each point is predicted from the others.
        worst_error: The largest of them.
    """

    call: float
    received: float
    sent: float
    work: float
    points: int
    median_error: float
    worst_error: float

    @staticmethod
    def fit(reports: Sequence[Mapping[str, Any]]) -> PriceModel:
        """Fit a model on the measured segments of profiles, all of one machine; relative errors count.

        Raises:
            ReportError: If the profiles are of several machines, or hold too few measured segments.
        """
        machines = {(report["machine"]["cpu"], report["machine"]["cores"]) for report in reports}
        if len(machines) > 1:
            names = ", ".join(f"{cpu} with {cores} cores" for cpu, cores in sorted(machines))
            raise ReportError(f"the profiles are of different machines ({names}); give profiles of one")
        points = [point for report in reports for point in _points(report)]
        if len(points) < FEWEST:
            raise ReportError(
                f"the profiles hold {len(points)} measured segments where {FEWEST} are needed; profile a network with more layers"
            )
        rows, times = np.array([row for row, _ in points]), np.array([time for _, time in points])
        errors = []
        for left_out in range(len(points)):
            others = np.arange(len(points)) != left_out
            expected = float(rows[left_out] @ _solve(rows[others], times[others]))
            errors.append(abs(expected / times[left_out] - 1))
        call, received, sent, work = _solve(rows, times)
        return PriceModel(call, received, sent, work, len(points), float(np.median(errors)), max(errors))

    def milliseconds(self, spec: CircuitSpec) -> float:
        """Return what one evaluation of a compiled circuit is expected to take."""
        received, sent = spec.parameters.input_bytes / 1e3, spec.parameters.output_bytes / 1e3
        return self.call + self.received * received + self.sent * sent + self.work * spec.complexity / 1e6


RECORDED = PriceModel(
    call=0.0, received=3.1234, sent=0.023679, work=0.11126, points=36, median_error=0.0857, worst_error=0.4856
)
"""Fitted on the profiles that were recorded on that machine (``profiles/*/xeon-2-cores``); a test holds it to them."""

RECORDED_ON = "on two cores of an Intel Xeon, where the profiles of the shipped networks were recorded"


def _points(report: Mapping[str, Any]) -> list[tuple[tuple[float, ...], float]]:
    """Return (1, kB in, kB out, millions of complexity) and the median time of each measured segment."""
    found: list[tuple[tuple[float, ...], float]] = []
    for segment in report["segments"]:
        server = segment["server"]
        if server["status"] == "measured":
            row = (1.0, server["upload_bytes"] / 1e3, server["download_bytes"] / 1e3, server["complexity"] / 1e6)
            found.append((row, float(server["cost"]["evaluate_ms"])))
    return found


def _solve(rows: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    scales = rows.max(axis=0)
    weighted = rows / scales / times[:, None]
    coefficients: NDArray[np.float64] = nnls(weighted, np.ones(len(times)))[0] / scales
    return coefficients
