"""Predicted against measured, for a terminal."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from cryptml.errors import counted
from cryptml.profiler.measure.measurement import LONG_EVALUATION_MS
from cryptml.reports.table import bytes_text, duration_text, plain_table, split_text
from cryptml.splits import Split

FIGURES = (
    ("latency_ms", "latency"),
    ("client_peak_bytes", "client memory"),
    ("server_peak_bytes", "server memory"),
    ("setup_ms", "setup"),
)


def errors(verification: Mapping[str, Any], name: str) -> list[float]:
    """Return the relative error of a predicted figure for each split, ``predicted / measured - 1``."""
    return [entry["predicted"][name] / _median(entry["measured"][name]) - 1 for entry in verification["splits"]]


def worst_and_median(verification: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each figure: median and worst absolute error."""
    lines = []
    for name, words in FIGURES:
        found = [abs(error) for error in errors(verification, name)]
        lines.append(
            f"{words}: median error {statistics.median(found):.1%}, worst {max(found):.1%} on {counted(len(found), 'split')}"
        )
    return lines


def saving(document: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], verification: Mapping[str, Any]) -> str:
    """Return how much dearer it would be to measure every split on its own than it was to profile, in a sentence.

    The splits that were run say how long one takes beyond its setup and its answers; that ratio is applied to all of them.

    Args:
        document: The report.
        entries: All its splits, composed for this machine itself.
        verification: Of some of them, with the time that each took from compiling to the last answer.
    """
    runnable = {entry["split"]: entry for entry in entries if entry["round_trips"] and entry["latency_ms"] is not None}
    sampled = [entry for entry in verification["splits"] if entry["split"] in runnable]
    spent = sum(entry["elapsed_s"] for entry in sampled)
    expected = sum(_alone_ms(runnable[entry["split"]], verification["repeats"]) for entry in sampled) / 1000
    total = sum(_alone_ms(entry, verification["repeats"]) for entry in runnable.values()) / 1000 * spent / expected
    profile = max(document["elapsed"]["total_s"], 1e-3)
    return (
        f"{len(sampled)} splits on their own took {duration_text(spent * 1000)} ({spent / expected:.2f} times their setup and "
        f"answers); all {len(runnable)} would take {duration_text(total * 1000)}, {total / profile:.1f} times the profile's "
        f"{duration_text(profile * 1000)}"
    )


def _alone_ms(entry: Mapping[str, Any], repeats: int) -> float:
    answers = 1 if entry["latency_ms"] >= LONG_EVALUATION_MS else repeats + 1
    return float(entry["setup_ms"] + answers * entry["latency_ms"])


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
    title = f"Predicted against measured over HTTP, {verification['created'][:10]}"
    return plain_table(title, columns, rows)


def _median(value: float | list[float]) -> float:
    return statistics.median(value) if isinstance(value, list) else value
