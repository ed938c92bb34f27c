"""What the profiler's tests share: synthetic reports, and damaged ones, written to tests/data/reports by ``python -m tests.profiler.profile_samples``."""

from __future__ import annotations

import contextlib
import io
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cryptml.cli.main import run as run_cryptml
from cryptml.cli.split_profiler import run as run_profiler
from cryptml.profiler.plan.costs import CostModel, SegmentCost
from cryptml.splits import enumerate_segments
from tests.reports.report_samples import compose, mark_frontier, sample_report

__all__ = ["BROKEN", "DATA", "HOSTILE", "compose", "failure", "mark_frontier", "random_model", "sample_report"]

DATA = Path(__file__).parents[1] / "data" / "reports"
Report = dict[str, Any]

ESCAPE = "\x1b[31m\x1b]0;title\x07"
HOSTILE = "hostile-names"

BROKEN = {
    "truncated": r"is not JSON \(.+\); write it again",
    "not-json": r"is not JSON",
    "not-utf-8": r"is not JSON",
    "a-list": r"is of format version None, this program reads 1",
    "other-version": r"is of format version 2, this program reads 1; write it again with this version",
    "hostile-version": r"is of format version '.*', this program reads 1",
    "other-format": r"\$\.format: 'cryptml-profile' was expected",
    "not-a-number": r"NaN is not a JSON number",
    "beyond-floats": r"1e999 is beyond the largest number",
    "long-number": r"an integer of 25 characters is longer than 20",
    "missing-field": r"\$: 'baselines' is a required property",
    "unknown-field": r"\$\.machine: Additional properties are not allowed \('gpu' was unexpected\)",
    "hostile-field": r"\$: Additional properties are not allowed",
    "no-segments": r"\$\.segments: \[\] should be non-empty",
    "segment-missing": r"contradicts itself: 2 segments that are not the 3 of 2 layers in order; profile",
    "segment-twice": r"contradicts itself: 3 segments that are not the 3 of 2 layers in order",
    "segment-empty": r"contradicts itself: 3 segments that are not the 3",
    "split-twice": r"contradicts itself: splits that do not fit 2 layers, or are there twice",
    "split-long": r"contradicts itself: splits that do not fit 2 layers, or are there twice",
    "split-missing": r"contradicts itself: 3 splits of 4",
    "split-letters": r"\$\.splits\[0\]\.split: 'CX' does not match",
    "split-without-latency": r"contradicts itself: split CS is composed with latency_ms None",
    "infeasible-with-cost": r"contradicts itself: segment 0-1 is infeasible and has a cost",
    "measured-without-cost": r"contradicts itself: segment 0-1 is measured and has no cost",
    "estimated-without-reason": r"contradicts itself: segment 0-1 is estimated without a reason",
    "without-sizes": r"contradicts itself: segment 0-1 lacks sizes",
    "without-key-parameters": r"contradicts itself: segment 1-2 lacks sizes or key parameters",
    "shared-twice": r"contradicts itself: segment 1-2 has the same shared keys twice",
    "deeply-nested": r"is not JSON \(maximum recursion depth",
    "bandwidth-zero": r"\$\.configuration\.bandwidth_mbps: 0 is less than the minimum of 0\.001",
    "bandwidth-text": r"\$\.configuration\.bandwidth_mbps: '100' is not of type 'number'",
    "negative-time": r"\$\.front_end_ms\[0\]: -1 is less than the minimum of 0",
    "measured-nothing": r"\$\.verification\.splits\[0\]\.measured\.server_peak_bytes: 0 is less than the minimum of 1",
    "shared-without-cost": r"contradicts itself: segment 1-2 with shared keys is measured and has no cost",
    "whole-as-float": r"\$\.machine\.cores: 2\.0 is not of type 'integer'",
}
"""Name of each damaged report with what is said about it."""


def edit(change: Callable[[Report], Any]) -> bytes:
    document = sample_report(2, verified=False)
    change(document)
    return json.dumps(document).encode()


def written() -> dict[str, bytes]:
    """Return all files of tests/data/reports."""
    whole = edit(lambda _: None)

    def server(**values: Any) -> bytes:
        return edit(lambda report: report["segments"][0]["server"].update(values))

    def text(old: str, new: str) -> bytes:
        assert old.encode() in whole, old
        return whole.replace(old.encode(), new.encode(), 1)

    return {
        "truncated": whole[: len(whole) // 2],
        "not-json": b"cryptml profile of reference\n",
        "not-utf-8": text("AMD EPYC", "AMD ?").replace(b"?", b"\xff\xfe"),
        "a-list": b"[1, 2, 3]",
        "other-version": edit(lambda report: report.update(format_version=2)),
        "hostile-version": edit(lambda report: report.update(format_version=ESCAPE)),
        "other-format": edit(lambda report: report.update(format="cryptml-network")),
        "not-a-number": text('"total_s": 1234.5', '"total_s": NaN'),
        "beyond-floats": text('"total_s": 1234.5', '"total_s": 1e999'),
        "long-number": text('"client_bytes": 300000000', f'"client_bytes": {"9" * 25}'),
        "missing-field": edit(lambda report: report.pop("baselines")),
        "unknown-field": edit(lambda report: report["machine"].update(gpu="none")),
        "hostile-field": edit(lambda report: report.update({ESCAPE: 1})),
        "no-segments": edit(lambda report: report["segments"].clear()),
        "segment-missing": edit(lambda report: report["segments"].pop(1)),
        "segment-twice": edit(lambda report: report["segments"].__setitem__(1, report["segments"][0])),
        "segment-empty": edit(lambda report: report["segments"][2].update(start=1, stop=1)),
        "split-twice": edit(lambda report: report["splits"].append(report["splits"][0])),
        "split-long": edit(lambda report: report["splits"][0].update(split="CCC")),
        "split-missing": edit(lambda report: report["splits"].pop()),
        "split-letters": edit(lambda report: report["splits"][0].update(split="CX")),
        "split-without-latency": edit(lambda report: report["splits"][1].update(latency_ms=None)),
        "infeasible-with-cost": server(status="infeasible", reason="too large"),
        "measured-without-cost": server(cost=None),
        "estimated-without-reason": server(status="estimated", reason=None),
        "without-sizes": server(upload_bytes=None),
        "without-key-parameters": edit(lambda report: report["segments"][2]["server"].update(key_parameters=None)),
        "shared-twice": edit(
            lambda report: report["segments"][2]["server"].update(shared=2 * report["segments"][2]["server"]["shared"])
        ),
        "deeply-nested": b"[" * 5000 + b"]" * 5000,
        "bandwidth-zero": edit(lambda report: report["configuration"].update(bandwidth_mbps=0)),
        "bandwidth-text": edit(lambda report: report["configuration"].update(bandwidth_mbps="100")),
        "negative-time": edit(lambda report: report["front_end_ms"].__setitem__(0, -1)),
        "measured-nothing": edit(verify_nothing),
        "shared-without-cost": edit(
            lambda report: report["segments"][2]["server"]["shared"][0].update(status="measured", cost=None)
        ),
        "whole-as-float": edit(lambda report: report["machine"].update(cores=2.0)),
        HOSTILE: edit(disguise),
    }


def verify_nothing(report: Report) -> None:
    """Claim a measurement of no memory, by which errors would be divided."""
    report["verification"] = sample_report(2)["verification"]
    report["verification"]["splits"][0]["measured"]["server_peak_bytes"] = 0


def disguise(report: Report) -> None:
    """Put what a terminal or a page would obey wherever a report holds free text."""
    evil = f"{ESCAPE}[bold red]x[/bold red][/]<script>alert(1)</script>\r\n\x00\x9b2J\u202e"
    report["machine"] |= {"cpu": evil, "os": evil, "python": ESCAPE}
    report["machine"]["versions"][evil] = evil
    report["created"] = evil
    report["fit"]["model"] = evil
    for index, layer in enumerate(report["network"]["layers"]):
        layer |= {"name": f"{evil}{index}"[:100], "kind": evil}
    for segment in report["segments"]:
        segment["exposure"]["attack"] = evil
    last = report["segments"][-1]["server"]
    last |= {"status": "infeasible", "reason": evil, "cost": None, "shared": []}
    report["splits"] = [compose(report, letters, 100.0, 20.0) for letters in ("CC", "CS", "SC", "SS")]
    mark_frontier(report["splits"])


def failure(run: str, *arguments: str) -> tuple[int, str, str]:
    """Run an installed command; return exit code, stdout and stderr."""
    said, complaints = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stderr(complaints),
        contextlib.redirect_stdout(said),
    ):
        patch.setattr(sys, "argv", [run, *arguments])
        with pytest.raises(SystemExit) as left:
            {"cryptml": run_cryptml, "split-profiler": run_profiler}[run]()
    code = left.value.code
    return (code if isinstance(code, int) else 0), said.getvalue(), complaints.getvalue()


def random_model(layers: int, seed: int, *, feasible: float = 0.8, high: int = 6, whole: bool = True) -> CostModel:
    """Return random costs, small integers (so that many are equal and all sums exact) or any numbers."""
    rng = random.Random(seed)
    names = [name for name in SegmentCost.__dataclass_fields__ if name not in UNDRAWN]
    own = [rng.randint(0, high) for _ in range(layers)]
    segments = {}
    for segment in enumerate_segments(layers):
        drawn: dict[str, Any] = {name: float(rng.randint(0, high)) if whole else rng.uniform(0, high) for name in names}
        parameters = float(sum(own[segment.start : segment.stop]))
        lost = rng.random() < 0.5 and parameters > 0
        segments[segment] = SegmentCost(
            **drawn,
            feasible=rng.random() < feasible,
            estimated=rng.random() < 0.3,
            parameters=parameters,
            recoverable=parameters if lost else 0.0,
            queries=float(rng.randint(1, 99)) if lost else float("inf"),
        )
    return CostModel(layers, segments, 1.0, 10, 20)


UNDRAWN = ("feasible", "estimated", "parameters", "recoverable", "queries", "shares_keys")


if __name__ == "__main__":
    DATA.mkdir(parents=True, exist_ok=True)
    for name, data in written().items():
        (DATA / f"{name}.json").write_bytes(data)
