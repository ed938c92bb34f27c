"""What a profile needs before segments are measured: the client's own work, attacks, and what processes hold at rest."""

from __future__ import annotations

import time

from cryptml.errors import MeasurementError
from cryptml.exposure.knowledge import Knowledge
from cryptml.processes.child import Child, Replaced
from cryptml.profiler.findings import Findings
from cryptml.profiler.measure.measurement import CLIENT_MODULE, COMPILER_MODULE, SERVER_MODULE, Limits
from cryptml.profiler.settings import SegmentProgress

CLEAR_REPEATS = 20
"""Samples of a client segment: they take microseconds."""

CLEAR_SECONDS = 3600.0
"""For all of them together."""

ATTACK_QUERIES = 2000
"""To each segment of one non-linearity: the audit's own default."""


def run_clear(name: str, findings: Findings, threads: int) -> None:
    """Time the client's own work: front end and every segment in the clear, under no limit but a generous time."""
    deadline = time.monotonic() + CLEAR_SECONDS
    with Child(COMPILER_MODULE, threads=threads) as child:
        shared = {"network": name, "repeats": CLEAR_REPEATS}
        if findings.journal.get("front-end") is None:
            findings.journal.record("front-end", child.ask({"do": "run_front_end", **shared}, deadline)["run_ms"])
        for segment in findings.segments:
            if findings.journal.get(f"clear {segment}") is None:
                place = {"start": segment.start, "stop": segment.stop}
                found = child.ask({"do": "run_clear", **shared, **place}, deadline)
                findings.journal.record(f"clear {segment}", found["run_ms"])


def attack_segments(name: str, findings: Findings, limits: Limits, progress: SegmentProgress) -> None:
    """Attack segments of one non-linearity: for these alone, theory gives no number and an attack may succeed."""
    wanted = [
        segment
        for segment in findings.segments
        if Knowledge.of(findings.network, segment).activations == 1
        and findings.journal.get(f"attacked {segment}") is None
    ]
    if not wanted:
        return
    with Replaced(COMPILER_MODULE, threads=limits.threads, memory_bytes=limits.memory_bytes) as child:
        for number, segment in enumerate(wanted):
            progress.update(done=number, total=len(wanted), what=f"attacking {segment}", remaining_s=None)
            started = time.monotonic()
            request = {"do": "attack", "network": name, "queries": ATTACK_QUERIES}
            place = {"start": segment.start, "stop": segment.stop}
            try:
                found = child.ask({**request, **place}, started + limits.timeout_seconds)
            except MeasurementError as error:
                found = {"queries": None, "reason": str(error)}
            elapsed = time.monotonic() - started
            findings.journal.record(f"attacked {segment}", {**found, "elapsed_s": elapsed})


def measure_baselines(findings: Findings, limits: Limits) -> None:
    """Measure what client and server hold before they have done anything."""
    if findings.journal.get("baselines") is not None:
        return
    deadline = time.monotonic() + limits.timeout_seconds
    found = {}
    for side, module in (("client", CLIENT_MODULE), ("server", SERVER_MODULE)):
        with Child(module, threads=limits.threads) as child:
            found[f"{side}_bytes"] = child.ask({"do": "baseline"}, deadline)["resident_bytes"]
    findings.journal.record("baselines", found)
