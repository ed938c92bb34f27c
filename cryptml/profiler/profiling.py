"""Profile a network: compile every segment, measure each once, estimate what is too dear, compose every split."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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


@dataclass(frozen=True)
class Variant:
    """A segment compiled for key parameters: the best for itself, or those of another segment, so that both can share keys.

    Attributes:
        segment: Which layers.
        keys_of: Whose key parameters; None for its own.
    """

    segment: Segment
    keys_of: Segment | None = None

    def __str__(self) -> str:
        return str(self.segment) if self.keys_of is None else f"{self.segment} with keys of {self.keys_of}"


@dataclass
class _Run:
    """State of one profiling run."""

    name: str
    network: Network
    settings: Settings
    journal: Journal
    progress: Progress
    work: Path
    variants: list[Variant] = field(default_factory=list)

    def profile(self) -> dict[str, Any]:
        started = time.monotonic() - self._spent()
        segments = list(enumerate_segments(len(self.network)))
        self._run_clear(segments)
        own = [Variant(segment) for segment in segments]
        self._compile(own)
        shared = self._shared(segments)
        self._compile(shared)
        self._baselines()
        self.variants = sorted(own, key=self._complexity) + sorted(shared, key=self._complexity)
        for number in range(len(self.variants)):
            self._measure(number)
        return self._document(time.monotonic() - started, self._spent())

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

    def _compile(self, variants: list[Variant]) -> None:
        """Compile what is still to be measured, in one process that is replaced where it dies."""
        limits = self.settings.limits
        wanted = [
            variant
            for variant in variants
            if self._compiled(variant).get("reason") is None and self.journal.get(f"measured {variant}") is None
        ]
        child: Child | None = None
        try:
            for number, variant in enumerate(wanted):
                self.progress.update(done=number, total=len(wanted), what=f"compiling {variant}", remaining_s=None)
                if child is None or not child.alive:
                    child = Child(COMPILER_MODULE, threads=limits.threads, memory_bytes=limits.memory_bytes)
                started = time.monotonic()
                try:
                    compiled = self._compile_one(child, variant, started + limits.timeout_seconds)
                except MeasurementError as error:
                    compiled = {"reason": str(error)}
                if not self._compiled(variant):
                    elapsed = time.monotonic() - started
                    self.journal.record(f"compiled {variant}", {**compiled, "elapsed_s": elapsed})
        finally:
            if child is not None:
                child.stop()

    def _compile_one(self, child: Child, variant: Variant, deadline: float) -> dict[str, Any]:
        keys_of = None
        if variant.keys_of is not None:
            keys_of = self._folder(Variant(variant.keys_of))
            if not keys_of.exists():  # measured before this run was interrupted
                self._compile_one(child, Variant(variant.keys_of), deadline)
        folder = self._folder(variant)
        return child.ask(compile_request(self.name, variant.segment, folder, self.settings.p_error, keys_of), deadline)

    def _shared(self, segments: list[Segment]) -> list[Variant]:
        """Return each segment with the larger key parameters of others that a split can hold beside it, once for each set."""
        keyed = [each for each in segments if self.network.bootstraps(each) and not self._reason(Variant(each))]
        found: dict[tuple[Segment, str], Variant] = {}
        for segment in keyed:
            own = self._compiled(Variant(segment))
            for other in keyed:
                theirs = self._compiled(Variant(other))
                apart = other.start > segment.stop or other.stop < segment.start
                if apart and theirs["expanded_key_bytes"] > own["expanded_key_bytes"]:
                    owner = next(
                        each
                        for each in keyed
                        if self._compiled(Variant(each))["key_parameters"] == theirs["key_parameters"]
                    )
                    found.setdefault((segment, theirs["key_parameters"]), Variant(segment, owner))
        return list(found.values())

    def _compiled(self, variant: Variant) -> Mapping[str, Any]:
        return self.journal.get(f"compiled {variant}") or {}

    def _reason(self, variant: Variant) -> Any:
        return self._compiled(variant).get("reason")

    def _complexity(self, variant: Variant) -> tuple[float, Segment]:
        return self._compiled(variant).get("complexity") or 0.0, variant.segment

    def _folder(self, variant: Variant) -> Path:
        return self.work / str(variant).replace(" ", "-")

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

    def _measure(self, number: int) -> None:
        variant = self.variants[number]
        name = f"measured {variant}"
        if self.journal.get(name) is not None or self._reason(variant):
            return
        if self._too_dear(variant):
            return

        def tell(what: str) -> None:
            self.progress.update(
                done=number,
                total=len(self.variants),
                what=f"{variant}: {what}",
                remaining_s=self._remaining(self.variants[number:]),
            )

        started = time.monotonic()
        try:
            measured = measure_segment(self.network, variant.segment, self._folder(variant), self.settings.limits, tell)
            entry: dict[str, Any] = {**asdict(measured), "cost": measured.cost(), "reason": None}
        except MeasurementError as error:
            entry = {"reason": str(error)}
        self.journal.record(name, {**entry, "elapsed_s": time.monotonic() - started})
        shutil.rmtree(self._folder(variant), ignore_errors=True)

    def _too_dear(self, variant: Variant) -> bool:
        """Whether a variant is to be estimated: dearer than asked for, and one that is near it was measured."""
        limit = self.settings.estimate_above_s
        if limit is None or not self.network.bootstraps(variant.segment):
            return False
        point, points = self._point(variant), self._points()
        expected = expected_evaluate_ms(point, points)
        return expected is not None and expected > limit * 1000 and any(is_near(point, each) for each in points)

    def _point(self, variant: Variant) -> Point:
        segment, compiled = variant.segment, self._compiled(variant)
        boundaries = self.network.boundaries[segment.start : segment.stop + 1]
        reads, writes = boundaries[0], boundaries[-1]
        each = compiled["download_bytes"] / writes.size
        measured = self.journal.get(f"measured {variant}") or {}
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
        """What was measured and has lookups."""
        return [
            self._point(variant)
            for variant in self.variants
            if self.network.bootstraps(variant.segment) and (self.journal.get(f"measured {variant}") or {}).get("cost")
        ]

    def _remaining(self, variants: list[Variant]) -> float | None:
        """Expected seconds for what is still to be measured, by its complexity."""
        points, limit = self._points(), self.settings.estimate_above_s
        total = 0.0
        for variant in variants:
            if self._reason(variant):
                continue
            if not self.network.bootstraps(variant.segment):
                total += OVERHEAD_SECONDS
                continue
            point = self._point(variant)
            expected = expected_evaluate_ms(point, points)
            if expected is None:
                return None
            if limit is not None and expected > limit * 1000 and any(is_near(point, each) for each in points):
                continue
            times = 1 if expected >= LONG_EVALUATION_MS else self.settings.limits.repeats + 1
            total += OVERHEAD_SECONDS + times * expected / 1000
            points.append(point)  # as if it were measured already: what is near it will be estimated
        return total

    def _document(self, total_s: float, segments_s: float) -> dict[str, Any]:
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
            "segments": [
                self._entry(
                    segment, [each for each in self.variants if each.keys_of and each.segment == segment], points
                )
                for segment in enumerate_segments(len(self.network))
            ],
            "splits": [],
            "verification": None,
        }
        return {**document, "splits": list_composed(document, self.settings.link)}

    def _entry(self, segment: Segment, shared: list[Variant], points: list[Point]) -> dict[str, Any]:
        return {
            "start": segment.start,
            "stop": segment.stop,
            "client": {"run_ms": self.journal.get(f"clear {segment}")},
            "server": {
                "bootstraps": self.network.bootstraps(segment),
                "lookup_bits": self.network.lookup_bits(segment),
                **self._figures(Variant(segment), points),
                "shared": [self._figures(variant, points) for variant in shared],
            },
            "exposure": segment_exposure(self.network, segment).to_json(),
        }

    def _figures(self, variant: Variant, points: list[Point]) -> dict[str, Any]:
        compiled, measured = self._compiled(variant), self.journal.get(f"measured {variant}") or {}
        cost = measured.get("cost")
        reason = compiled.get("reason") or measured.get("reason")
        status = "infeasible" if reason else "measured"
        if not reason and cost is None:
            try:
                cost, status = estimate(self._point(variant), points), "estimated"
                reason = f"expected to take more than {self.settings.estimate_above_s:g} s an evaluation; estimated from complexity"
            except MeasurementError as error:
                status, reason = "infeasible", str(error)
        keys = compiled if variant.keys_of is None else self._compiled(Variant(variant.keys_of))
        samples = measured.get("samples") or {}
        return {
            "status": status,
            "reason": reason,
            "compile_ms": compiled.get("compile_ms"),
            "complexity": compiled.get("complexity"),
            "key_parameters": keys.get("key_parameters"),
            "evaluation_key_bytes": measured.get("evaluation_key_bytes", compiled.get("evaluation_key_bytes")),
            "expanded_key_bytes": compiled.get("expanded_key_bytes"),
            "upload_bytes": measured.get("upload_bytes", compiled.get("upload_bytes")),
            "download_bytes": measured.get("download_bytes", compiled.get("download_bytes")),
            "samples": {stage: samples.get(stage, []) for stage in SAMPLED},
            "cost": cost,
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
