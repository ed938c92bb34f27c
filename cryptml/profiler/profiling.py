"""Profile a network: compile every segment, measure each once, estimate what is too dear, compose every split."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from cryptml.errors import MeasurementError
from cryptml.networks.network import Network
from cryptml.profiler.composition import Link
from cryptml.profiler.estimation import Point, estimate, expected_evaluate_ms, fit, is_near
from cryptml.profiler.exposure import segment_exposure
from cryptml.profiler.journal import Journal
from cryptml.profiler.listing import describe_layers
from cryptml.profiler.machine import describe_machine
from cryptml.profiler.measurement import (
    CLIENT_MODULE,
    LONG_EVALUATION_MS,
    SERVER_MODULE,
    Limits,
    compile_request,
    measure_segment,
)
from cryptml.profiler.processes import Child
from cryptml.profiler.ranking import list_composed
from cryptml.profiler.report import network_digest
from cryptml.splits import Segment, enumerate_segments

COMPILER_MODULE = "cryptml.profiler.compiler_process"
CLEAR_REPEATS = 20
"""Samples of a client segment: they take microseconds."""

CLEAR_SECONDS = 3600.0
"""For all of them together."""

OVERHEAD_SECONDS = 8.0
"""Starting two processes; only for the remaining time that is shown, until measured segments say better."""


@dataclass(frozen=True)
class Settings:
    """How to profile.

    Attributes:
        p_error: Probability that one table lookup fails.
        limits: Of each segment.
        estimate_above_s: Segments whose evaluation is expected to take longer are estimated, once one near them was measured; None
            measures all.
        link: For the splits' figures in the report.
    """

    p_error: float
    limits: Limits
    estimate_above_s: float | None
    link: Link

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as a report holds it."""
        return {
            "p_error": self.p_error,
            "security_bits": 128,
            "repeats": self.limits.repeats,
            "threads": self.limits.threads,
            "segment_timeout_s": self.limits.timeout_seconds,
            "segment_memory_bytes": self.limits.memory_bytes,
            "estimate_above_s": self.estimate_above_s,
            "bandwidth_mbps": self.link.bandwidth_mbps,
            "rtt_ms": self.link.rtt_ms,
        }


class Progress(Protocol):
    """Told how far a run is."""

    def update(self, *, done: int, total: int, what: str, remaining_s: float | None) -> None:
        """Say that ``done`` of ``total`` segments are finished, what runs now, and the expected rest in seconds."""
        ...


@dataclass
class _Run:
    """State of one profiling run."""

    name: str
    network: Network
    settings: Settings
    journal: Journal
    progress: Progress
    work: Path

    def profile(self) -> dict[str, Any]:
        started = time.monotonic() - self._spent()
        segments = list(enumerate_segments(len(self.network)))
        self._run_clear(segments)
        self._compile(segments)
        self._baselines()
        order = sorted(segments, key=lambda each: (self._compiled(each).get("complexity") or 0.0, each))
        for number, segment in enumerate(order):
            self._measure(segment, number, order)
        return self._document(segments, time.monotonic() - started, self._spent())

    def _spent(self) -> float:
        """Seconds of all segments' compilations and measurements, of an interrupted run's too."""
        entries = self.journal.entries.values()
        return float(sum(entry["elapsed_s"] for entry in entries if isinstance(entry, dict) and "elapsed_s" in entry))

    def _run_clear(self, segments: list[Segment]) -> None:
        """Time the client's own work: front end and every segment in the clear, under no limit but a generous time."""
        deadline = time.monotonic() + CLEAR_SECONDS
        with Child(COMPILER_MODULE, threads=self.settings.limits.threads) as child:
            shared = {"network": self.name, "repeats": CLEAR_REPEATS}
            if self.journal.get("front-end") is None:
                self.journal.record("front-end", child.ask({"do": "run_front_end", **shared}, deadline)["run_ms"])
            for segment in segments:
                if self.journal.get(f"clear {segment}") is None:
                    place = {"start": segment.start, "stop": segment.stop}
                    found = child.ask({"do": "run_clear", **shared, **place}, deadline)
                    self.journal.record(f"clear {segment}", found["run_ms"])

    def _compile(self, segments: list[Segment]) -> None:
        """Compile every segment that is still to be measured, in one process that is replaced where it dies."""
        limits = self.settings.limits
        wanted = [
            segment
            for segment in segments
            if self._compiled(segment).get("reason") is None and self.journal.get(f"measured {segment}") is None
        ]
        child: Child | None = None
        try:
            for number, segment in enumerate(wanted):
                self.progress.update(done=number, total=len(wanted), what=f"compiling {segment}", remaining_s=None)
                if child is None or not child.alive:
                    child = Child(COMPILER_MODULE, threads=limits.threads, memory_bytes=limits.memory_bytes)
                started = time.monotonic()
                request = compile_request(self.name, segment, self._folder(segment), self.settings.p_error)
                try:
                    compiled = child.ask(request, started + limits.timeout_seconds)
                except MeasurementError as error:
                    compiled = {"reason": str(error)}
                if not self._compiled(segment):
                    elapsed = time.monotonic() - started
                    self.journal.record(f"compiled {segment}", {**compiled, "elapsed_s": elapsed})
        finally:
            if child is not None:
                child.stop()

    def _compiled(self, segment: Segment) -> Mapping[str, Any]:
        return self.journal.get(f"compiled {segment}") or {}

    def _folder(self, segment: Segment) -> Path:
        return self.work / str(segment)

    def _baselines(self) -> None:
        """Measure what client and server hold before they have done anything."""
        if self.journal.get("baselines") is not None:
            return
        limits = self.settings.limits
        deadline = time.monotonic() + limits.timeout_seconds
        found = {}
        for side, module in (("client", CLIENT_MODULE), ("server", SERVER_MODULE)):
            with Child(module, threads=limits.threads) as child:
                found[f"{side}_bytes"] = child.ask({"do": "baseline"}, deadline)["resident_bytes"]
        self.journal.record("baselines", found)

    def _measure(self, segment: Segment, number: int, order: list[Segment]) -> None:
        name = f"measured {segment}"
        if self.journal.get(name) is not None or self._compiled(segment).get("reason"):
            return
        if self._too_dear(segment):
            return

        def tell(what: str) -> None:
            self.progress.update(
                done=number, total=len(order), what=f"{segment}: {what}", remaining_s=self._remaining(order[number:])
            )

        started = time.monotonic()
        try:
            measured = measure_segment(self.network, segment, self._folder(segment), self.settings.limits, tell)
            entry: dict[str, Any] = {**asdict(measured), "cost": measured.cost(), "reason": None}
        except MeasurementError as error:
            entry = {"reason": str(error)}
        self.journal.record(name, {**entry, "elapsed_s": time.monotonic() - started})
        shutil.rmtree(self._folder(segment), ignore_errors=True)

    def _too_dear(self, segment: Segment) -> bool:
        """Whether a segment is to be estimated: dearer than asked for, and one that is near it was measured."""
        limit = self.settings.estimate_above_s
        if limit is None or not self.network.bootstraps(segment):
            return False
        point, points = self._point(segment), self._points()
        expected = expected_evaluate_ms(point, points)
        return expected is not None and expected > limit * 1000 and any(is_near(point, each) for each in points)

    def _point(self, segment: Segment) -> Point:
        compiled = self._compiled(segment)
        boundaries = self.network.boundaries[segment.start : segment.stop + 1]
        reads, writes = boundaries[0], boundaries[-1]
        each = compiled["download_bytes"] / writes.size
        measured = self.journal.get(f"measured {segment}") or {}
        return Point(
            key_parameters=compiled["key_parameters"],
            complexity=compiled["complexity"],
            inputs=reads.size,
            outputs=writes.size,
            expanded_key_bytes=compiled["expanded_key_bytes"],
            download_bytes=compiled["download_bytes"],
            widest_bytes=round(each * max(boundary.size for boundary in boundaries)),
            cost=measured.get("cost"),
        )

    def _points(self) -> list[Point]:
        """The measured segments with lookups."""
        return [
            self._point(segment)
            for segment in enumerate_segments(len(self.network))
            if self.network.bootstraps(segment) and (self.journal.get(f"measured {segment}") or {}).get("cost")
        ]

    def _remaining(self, segments: list[Segment]) -> float | None:
        """Expected seconds for segments that are still to be measured, by their complexity."""
        points, limit = self._points(), self.settings.estimate_above_s
        total = 0.0
        for segment in segments:
            if self._compiled(segment).get("reason"):
                continue
            if not self.network.bootstraps(segment):
                total += OVERHEAD_SECONDS
                continue
            point = self._point(segment)
            expected = expected_evaluate_ms(point, points)
            if expected is None:
                return None
            if limit is not None and expected > limit * 1000 and any(is_near(point, each) for each in points):
                continue
            times = 1 if expected >= LONG_EVALUATION_MS else self.settings.limits.repeats + 1
            total += OVERHEAD_SECONDS + times * expected / 1000
            points.append(point)  # as if it were measured already: what is near it will be estimated
        return total

    def _document(self, segments: list[Segment], total_s: float, segments_s: float) -> dict[str, Any]:
        points = self._points()
        found = fit(points)
        document: dict[str, Any] = {
            "format": "cryptml-profile",
            "format_version": 1,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "machine": describe_machine(),
            "network": {
                "name": self.network.name,
                "digest": network_digest(self.name),
                "layers": describe_layers(self.network),
            },
            "configuration": self.settings.to_json(),
            "elapsed": {"total_s": round(total_s, 3), "segments_s": round(segments_s, 3)},
            "baselines": self.journal.get("baselines"),
            "front_end_ms": self.journal.get("front-end"),
            "fit": found.to_json() if found else None,
            "segments": [self._entry(segment, points) for segment in segments],
            "splits": [],
            "verification": None,
        }
        return {**document, "splits": list_composed(document, self.settings.link)}

    def _entry(self, segment: Segment, points: list[Point]) -> dict[str, Any]:
        compiled, measured = self._compiled(segment), self.journal.get(f"measured {segment}") or {}
        cost = measured.get("cost")
        reason = compiled.get("reason") or measured.get("reason")
        status = "infeasible" if reason else "measured"
        if not reason and cost is None:
            try:
                cost, status = estimate(self._point(segment), points), "estimated"
                reason = f"expected to take more than {self.settings.estimate_above_s:g} s an evaluation; estimated from complexity"
            except MeasurementError as error:
                status, reason = "infeasible", str(error)
        samples = measured.get("samples") or {}
        return {
            "start": segment.start,
            "stop": segment.stop,
            "client": {"run_ms": self.journal.get(f"clear {segment}")},
            "server": {
                "status": status,
                "reason": reason,
                "compile_ms": compiled.get("compile_ms"),
                "bootstraps": self.network.bootstraps(segment),
                "lookup_bits": self.network.lookup_bits(segment),
                "complexity": compiled.get("complexity"),
                "key_parameters": compiled.get("key_parameters"),
                "evaluation_key_bytes": measured.get("evaluation_key_bytes", compiled.get("evaluation_key_bytes")),
                "expanded_key_bytes": compiled.get("expanded_key_bytes"),
                "upload_bytes": measured.get("upload_bytes", compiled.get("upload_bytes")),
                "download_bytes": measured.get("download_bytes", compiled.get("download_bytes")),
                "samples": {stage: samples.get(stage, []) for stage in SAMPLED},
                "cost": cost,
            },
            "exposure": segment_exposure(self.network, segment).to_json(),
        }


SAMPLED = ("keygen_ms", "encrypt_ms", "first_evaluate_ms", "evaluate_ms", "decrypt_ms")


def profile_network(
    name: str, network: Network, settings: Settings, journal_path: Path, progress: Progress, *, resume: bool
) -> tuple[dict[str, Any], Journal]:
    """Measure a network's segments and return its report.

    Args:
        name: Folder or shipped name, which the measuring processes load again.
        network: The same, loaded.
        settings: What to measure and how.
        journal_path: Where finished measurements are kept; the caller removes the journal once the report is saved.
        progress: Told how far the run is.
        resume: Continue an existing journal.

    Raises:
        ReportError: If the journal is another run's.
        MeasurementError: If not even the client's own layers can be run, or nothing starts.
    """
    head = {
        "journal": 1,
        "network": network_digest(name),
        "machine": describe_machine(),
        "configuration": settings.to_json(),
    }
    journal = Journal(journal_path, head, resume=resume)
    with tempfile.TemporaryDirectory(prefix="cryptml-profile-") as folder:
        return _Run(name, network, settings, journal, progress, Path(folder)).profile(), journal
