"""The compiler settings in a profile, for a terminal: what was chosen for each segment, and why."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from cryptml.errors import printable
from cryptml.fhe.settings import power
from cryptml.reports.table import bytes_text, duration_text, plain_table

COLUMNS = [
    ("segment", "left"),
    ("p_error", "right"),
    ("grouping", "left"),
    ("rounding", "left"),
    ("work", "right"),
    ("keys", "right"),
    ("in turn with the default", "right"),
    ("", "left"),
]


def compiler_settings_table(document: Mapping[str, Any]) -> Table:
    """Return what was tried for each segment with bootstraps, one settings a row; the ones taken are marked."""
    rows = []
    for entry in _with_settings(document):
        chosen = entry["server"]["settings"]
        name = f"{entry['start']}-{entry['stop']}"
        for number, tried in enumerate(chosen["candidates"]):
            taken = all(tried[key] == chosen[key] for key in ("p_error", "grouping", "rounding"))
            rows.append(
                (
                    "" if number else name,
                    power(tried["p_error"]),
                    tried["grouping"],
                    tried["rounding"],
                    "-" if tried["complexity"] is None else f"{tried['complexity'] / 1e9:.2f} G",
                    "-" if tried["evaluation_key_bytes"] is None else bytes_text(tried["evaluation_key_bytes"]),
                    _in_turn(tried),
                    "<- taken" if taken else "",
                )
            )
    return plain_table(f"Compiler settings of network {document['network']['name']}", COLUMNS, rows)


def _in_turn(tried: Mapping[str, Any]) -> str:
    if not tried["evaluate_ms"]:
        return "-"
    one, other = (duration_text(statistics.median(tried[name])) for name in ("evaluate_ms", "default_ms"))
    return f"{one} : {other}"


def compiler_settings_reasons(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield, for each segment with bootstraps, its name and then the reasons for its settings."""
    names = [layer["name"] for layer in document["network"]["layers"]]
    for entry in _with_settings(document):
        start, stop = entry["start"], entry["stop"]
        yield printable(f"segment {start}-{stop} ({names[start]} to {names[stop - 1]})")
        for reason in entry["server"]["settings"]["why"]:
            yield f"  {printable(reason)}"


def _with_settings(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [entry for entry in document["segments"] if entry["server"].get("settings")]
