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


def budget_of(segment: str, model: str, queries: int | None) -> dict[tuple[int, int], int | None]:
    """Return the budget of one segment, None where it is to have none of its own.

    Raises:
        SettingError: If the text is not a segment, or the model's name is none.
    """
    _require_name(model)
    return {parse_segment(segment): queries}


def _require_name(model: str) -> None:
    if not MODEL.fullmatch(model):
        raise SettingError(f"{model!r} is no name of a model; use the one that the service lists")


def budgets_of(profile: Path, model: str, share: float, spot_checks: int) -> dict[tuple[int, int], int]:
    """Return a budget for each segment that a known number of queries recovers, below that number.

    Args:
        profile: A report of the model.
        model: Its name.
        share: Of those queries that is allowed, above 0 and below 1.
        spot_checks: Of the bundle, whose answers a client has without asking; subtracted.

    Raises:
        SettingError: If the share is out of bounds, or the report is another model's or knows no such number.
        ReportError: If the report is malformed.
    """
    from cryptml.profiler.plan.report import load_report

    _require_name(model)
    if not 0 < share < 1:
        raise SettingError(f"`share` is {share:g}; it lies between 0 and 1, for all queries recover the segment")
    document = load_report(profile)
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
