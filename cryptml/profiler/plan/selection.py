"""Pick a few splits that span the frontier."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Entry = Mapping[str, Any]


def spread(entries: Sequence[Entry], count: int) -> list[str]:
    """Return up to ``count`` splits, evenly spaced by the logarithm of latency: the frontier's first, then others as fast.

    Others are those no faster than the frontier's fastest and no slower than its slowest.

    Args:
        entries: Feasible splits of a report, all with a server segment.
        count: How many.
    """
    frontier = [entry for entry in entries if entry["on_frontier"]]
    others = [entry for entry in entries if not entry["on_frontier"] and _within(entry, frontier or entries)]
    picked = _evenly(frontier, count)
    picked += _evenly(others, count - len(picked))
    return [entry["split"] for entry in sorted(picked, key=lambda entry: entry["latency_ms"])]


def _within(entry: Entry, entries: Sequence[Entry]) -> bool:
    latencies = [each["latency_ms"] for each in entries]
    return bool(min(latencies) <= entry["latency_ms"] <= max(latencies))


def _evenly(entries: Sequence[Entry], count: int) -> list[Entry]:
    """Take the ends, then repeatedly the entry farthest (in log latency) from all that are taken."""
    if count <= 0 or not entries:
        return []
    places = {entry["split"]: math.log(max(entry["latency_ms"], 1e-3)) for entry in entries}
    left = sorted(entries, key=lambda entry: (places[entry["split"]], entry["split"]))
    taken = [left.pop(0)]
    if left and count > 1:
        taken.append(left.pop())
    while left and len(taken) < count:
        gaps = [min(abs(places[entry["split"]] - places[each["split"]]) for each in taken) for entry in left]
        taken.append(left.pop(gaps.index(max(gaps))))
    return taken
