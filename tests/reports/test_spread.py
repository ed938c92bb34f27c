"""A profile that was measured beside other work says so."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cryptml.profiler.plan.spread import LARGE, evaluation_spread, spread_text
from cryptml.reports.profile import summary_table

RECORDED = sorted((Path(__file__).parents[2] / "profiles").rglob("profile.json"))


def busy(document: dict[str, Any]) -> dict[str, Any]:
    """Return a profile whose last samples took twice as long."""
    document = copy.deepcopy(document)
    for entry in document["segments"]:
        for each in entry["server"]["samples"]["evaluate_ms"][-1:]:
            entry["server"]["samples"]["evaluate_ms"][-1] = 2 * each
    return document


def shown(document: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=300)
    console.print(summary_table(document))
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.parts[-3])
def test_the_recorded_profiles_are_of_an_idle_machine(path: Path) -> None:
    document = json.loads(path.read_text())
    spread = evaluation_spread(document)
    assert spread is not None
    assert spread < LARGE / 2
    assert "warning" not in shown(document)
    assert "evaluations of one segment differ by" in shown(document)
    assert "warning: evaluations of one segment differ by" in shown(busy(document))
    assert "the machine did other work meanwhile; measure again while it is idle" in shown(busy(document))


def test_where_nothing_long_was_measured_twice_nothing_is_said() -> None:
    document = json.loads(RECORDED[0].read_text())
    for entry in document["segments"]:
        entry["server"]["samples"]["evaluate_ms"] = [1.0, 5.0]
    assert spread_text(document) is None
    assert "spread" not in shown(document)
    for entry in document["segments"]:
        entry["server"]["samples"]["evaluate_ms"] = [100.0]
    assert evaluation_spread(document) is None
