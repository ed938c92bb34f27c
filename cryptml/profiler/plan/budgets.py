"""Query budgets of segments, from what a profile knows of their recovery."""

from __future__ import annotations

import math
import re
from pathlib import Path

from cryptml.errors import SettingError

MODEL = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def parse_segment(text: str) -> tuple[int, int]:
    """Return the first layer of a segment and the one behind its last, from text such as 1-4."""
    start, hyphen, stop = text.partition("-")
    if not hyphen or not (start.isdecimal() and stop.isdecimal()) or int(start) >= int(stop):
        raise SettingError(f"{text!r} is not a segment; write its first layer and the one behind its last, such as 2-5")
    return int(start), int(stop)


def budgets_of(profile: Path | None, model: str, share: float, spot_checks: int) -> dict[tuple[int, int], int]:
    """Return a budget for each segment that a known number of queries recovers, below that number.

    Raises:
        SettingError: If the share is out of bounds, or the report is another model's or knows no such number.
        ReportError: If the report is malformed.
    """
    from cryptml.profiler.plan.report import load_report

    if not 0 < share < 1:
        raise SettingError(f"`share` is {share:g}; it lies between 0 and 1, for all queries recover the segment")
    document = load_report(profile) if profile is not None else {}
    if document["network"]["name"] != model:
        raise SettingError(f"the report is of network {document['network']['name']!r}, not of model {model!r}")
    found = {
        (entry["start"], entry["stop"]): max(0, math.ceil(share * entry["exposure"]["queries"]) - 1 - spot_checks)
        for entry in document["segments"]
        if entry["exposure"]["queries"] and entry["exposure"]["parameters"]
    }
    if not found:
        raise SettingError(
            "the report knows of no segment that a number of queries recovers; give `segment` and `queries`"
        )
    return found
