"""How far apart the samples of one segment lie: whether the machine did other work while it was profiled."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

LARGE = 0.25
"""In the recorded profiles, of a machine that did nothing else, the spread is 0.03 to 0.10; work on the other core doubles times."""

SHORTEST_MS = 20.0
"""Shorter evaluations differ by more on an idle machine too, by what the system does in a few milliseconds."""


def evaluation_spread(document: Mapping[str, Any]) -> float | None:
    """Return the median over segments of (longest - shortest) / median evaluation; None where too little was measured.

    Args:
        document: A report.
    """
    samples = [entry["server"]["samples"]["evaluate_ms"] for entry in document["segments"]]
    measured = [each for each in samples if len(each) > 1 and statistics.median(each) >= SHORTEST_MS]
    if not measured:
        return None
    return statistics.median((max(each) - min(each)) / statistics.median(each) for each in measured)


def spread_text(document: Mapping[str, Any]) -> str | None:
    """Return the spread in words, with a warning where it is `LARGE`; None where there is none."""
    spread = evaluation_spread(document)
    if spread is None:
        return None
    said = f"evaluations of one segment differ by {spread:.0%} of their median"
    if spread < LARGE:
        return said
    return (
        f"warning: {said}, more than {LARGE:.0%}: the machine did other work meanwhile; measure again while it is idle"
    )
