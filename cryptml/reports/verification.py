"""Predicted against measured, for a terminal."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from cryptml.reports.table import bytes_text, duration_text, plain_table, split_text
from cryptml.splits import Split

FIGURES = (("latency_ms", "latency"), ("client_peak_bytes", "client memory"), ("server_peak_bytes", "server memory"))


def errors(verification: Mapping[str, Any], name: str) -> list[float]:
    """Return the relative error of a predicted figure for each split, ``predicted / measured - 1``."""
    return [entry["predicted"][name] / _median(entry["measured"][name]) - 1 for entry in verification["splits"]]


def worst_and_median(verification: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each figure: median and worst absolute error."""
    lines = []
    for name, words in FIGURES:
        found = [abs(error) for error in errors(verification, name)]
        lines.append(
            f"{words}: median error {statistics.median(found):.1%}, worst {max(found):.1%} on {len(found)} splits"
        )
    return lines


def verification_table(verification: Mapping[str, Any]) -> Table:
    """Return one row a split: measured median with its spread, predicted, error; memory of both sides."""
    columns = [
        ("split", "left"),
        ("predicted", "right"),
        ("measured", "right"),
        ("spread", "right"),
        ("error", "right"),
    ]
    columns += [("mem C", "right"), ("error", "right"), ("mem S", "right"), ("error", "right")]
    found = {name: errors(verification, name) for name, _ in FIGURES}
    rows: list[list[str | Text]] = []
    for index, entry in enumerate(verification["splits"]):
        samples = entry["measured"]["latency_ms"]
        middle = statistics.median(samples)
        rows.append(
            [
                split_text(Split(entry["split"])),
                duration_text(entry["predicted"]["latency_ms"]),
                duration_text(middle),
                f"{(max(samples) - min(samples)) / middle:.0%}",
                f"{found['latency_ms'][index]:+.1%}",
                bytes_text(entry["measured"]["client_peak_bytes"]),
                f"{found['client_peak_bytes'][index]:+.1%}",
                bytes_text(entry["measured"]["server_peak_bytes"]),
                f"{found['server_peak_bytes'][index]:+.1%}",
            ]
        )
    title = f"Predicted against measured over HTTP, {verification['created']}"
    return plain_table(title, columns, rows)


def _median(value: float | list[float]) -> float:
    return statistics.median(value) if isinstance(value, list) else value
