"""Profile a network: compile every segment, measure each once, estimate what is too dear, compose every split."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptml.errors import MeasurementError
from cryptml.journal import Journal
from cryptml.networks.network import Network
from cryptml.processes.child import Replaced
from cryptml.profiler.assembly import assemble
from cryptml.profiler.findings import Findings, Variant
from cryptml.profiler.measure.compiled_folder import is_compiled
from cryptml.profiler.measure.machine import describe_machine
from cryptml.profiler.measure.machines import Entry, Machines, ThisMachine
from cryptml.profiler.measure.measurement import (
    COMPILER_MODULE,
    LONG_EVALUATION_MS,
    compile_request,
)
from cryptml.profiler.measure.ray_machines import ClusterMachines
from cryptml.profiler.plan.estimation import expected_evaluate_ms, is_near
from cryptml.profiler.plan.report import network_digest
from cryptml.profiler.preliminaries import attack_segments, measure_baselines, run_clear
from cryptml.profiler.settings import ProfileSettings, SegmentProgress

OVERHEAD_SECONDS = 8.0
"""Starting two processes; only for the remaining time that is shown, until measured segments say better."""


@dataclass
class _Run:
    """State of one profiling run."""

    name: str
    findings: Findings
    settings: ProfileSettings
    progress: SegmentProgress
    work: Path
    machines: Machines
    writing: threading.Lock = field(default_factory=threading.Lock)
    variants: list[Variant] = field(default_factory=list)

    def profile(self) -> dict[str, Any]:
        started = time.monotonic() - self.findings.spent_s
        run_clear(self.name, self.findings, self.settings.limits.threads)
        attack_segments(self.name, self.findings, self.settings.limits, self.progress)
        self._compile(self.findings.default())
        others = [variant for segment in self.findings.segments for variant in self.findings.others(segment)]
        self._compile([variant for variant in others if not self.findings.compiled(variant)])
        measure_baselines(self.findings, self.settings.limits)
        self._measure_all(self.findings.default())
        self._compare(self.findings.contenders())
        self._measure_all(self.findings.winners())
        self._measure_all(self.findings.sharing())
        if self.settings.trials:
            self._divide()
        return assemble(
            self.findings,
            max_failure=self.settings.max_failure,
            digest=network_digest(self.name),
            configuration=self.settings.to_json(),
            link=self.settings.link,
            total_s=time.monotonic() - started,
        )

    def _compile(self, variants: list[Variant], *, anew: bool = False) -> None:
        """Compile what is still to be measured, in one process that is replaced where it dies.

        Args:
            variants: What.
            anew: Compile also what has been measured and is needed again, where an interrupted run's circuits are gone.
        """
        limits = self.settings.limits
        wanted = [
            variant
            for variant in variants
            if not self.findings.compiled(variant).get("reason")
            and (anew or not self.findings.measured(variant))
            and not is_compiled(self._folder(variant))
        ]
        if not wanted:
            return
        with Replaced(COMPILER_MODULE, threads=limits.threads, memory_bytes=limits.memory_bytes) as child:
            for number, variant in enumerate(wanted):
                self.progress.update(done=number, total=len(wanted), what=f"compiling {variant}", remaining_s=None)
                started = time.monotonic()
                try:
                    compiled = self._compile_one(child, variant)
                except MeasurementError as error:
                    compiled = {"reason": str(error)}
                if not self.findings.compiled(variant) or compiled.get("reason"):
                    elapsed = time.monotonic() - started
                    self.findings.journal.record(f"compiled {variant}", {**compiled, "elapsed_s": elapsed})

    def _compile_one(self, child: Replaced, variant: Variant) -> dict[str, Any]:
        keys_of = None
        if variant.keys_of is not None:
            owner = self.findings.chosen(variant.keys_of)
            keys_of = self._folder(owner)
            if not is_compiled(keys_of):  # measured before this run was interrupted
                self._compile_one(child, owner)
        folder = self._folder(variant)
        request = compile_request(self.name, variant.segment, folder, self.findings.settings_of(variant), keys_of)
        return child.ask(request, time.monotonic() + self.settings.limits.timeout_seconds)

    def _folder(self, variant: Variant) -> Path:
        return self.work / str(variant).replace(" ", "-")

    def _measure_all(self, variants: list[Variant]) -> None:
        self._compile(variants)
        first = len(self.variants)
        self.variants += variants
        self._at_once(self._measure, range(first, len(self.variants)))

    def _compare(self, contenders: list[Variant]) -> None:
        """Evaluate what may be faster than the default settings in turn with these."""
        wanted = [each for each in contenders if self.findings.journal.get(f"compared {each}") is None]
        self._compile([*(Variant(each.segment) for each in wanted), *wanted], anew=True)

        def compare(number: int) -> None:
            variant = wanted[number]
            tell = self._teller(number, len(wanted), f"{variant} against the default")
            folders = self._folder(Variant(variant.segment)), self._folder(variant)
            self._record(f"compared {variant}", lambda: self.machines.compare(variant.segment, folders, tell))

        self._at_once(compare, range(len(wanted)))

    def _divide(self) -> None:
        """Try how threads are best divided, for every segment that was measured and has bootstraps."""
        chosen = [
            self.findings.chosen(each) for each in self.findings.segments if self.findings.network.bootstraps(each)
        ]
        wanted = [
            each
            for each in chosen
            if self.findings.measured(each).get("cost") and self.findings.journal.get(f"divided {each}") is None
        ]
        self._compile(wanted, anew=True)

        def divide(number: int) -> None:
            variant = wanted[number]
            tell = self._teller(number, len(wanted), str(variant))
            measured, folder = dict(self.findings.measured(variant)), self._folder(variant)
            self._record(f"divided {variant}", lambda: self.machines.divide(variant.segment, folder, measured, tell))

        self._at_once(divide, range(len(wanted)))

    def _at_once(self, action: Callable[[int], None], numbers: Iterable[int]) -> None:
        """Do something for each number, in order, for as many at once as there are machines."""
        if self.machines.count == 1:
            for number in numbers:
                action(number)
            return
        with ThreadPoolExecutor(self.machines.count) as pool:
            running = [pool.submit(action, number) for number in numbers]
            try:
                for each in as_completed(running):
                    each.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.machines.close()
                raise

    def _record(self, name: str, find: Callable[[], Entry]) -> None:
        """Write what is found into the journal, with the time that it took."""
        started = time.monotonic()
        entry = find()
        with self.writing:
            self.findings.journal.record(name, {**entry, "elapsed_s": time.monotonic() - started})

    def _teller(self, number: int, total: int, name: str) -> Callable[[str], None]:
        return lambda what: self.progress.update(done=number, total=total, what=f"{name}: {what}", remaining_s=None)

    def _measure(self, number: int) -> None:
        variant = self.variants[number]
        if self.findings.measured(variant) or self.findings.reason(variant) or self._too_dear(variant):
            return

        def tell(what: str) -> None:
            self.progress.update(
                done=number,
                total=len(self.variants),
                what=f"{variant}: {what}",
                remaining_s=self._remaining(self.variants[number:]),
            )

        folder = self._folder(variant)
        self._record(f"measured {variant}", lambda: self.machines.measure(variant.segment, folder, tell))

    def _too_dear(self, variant: Variant) -> bool:
        """Whether a variant is to be estimated: dearer than asked for, and one that is near it was measured."""
        limit = self.settings.estimate_above_s
        if limit is None or not self.findings.network.bootstraps(variant.segment):
            return False
        point, points = self.findings.point(variant), self.findings.points(self.variants)
        expected = expected_evaluate_ms(point, points)
        return expected is not None and expected > limit * 1000 and any(is_near(point, each) for each in points)

    def _remaining(self, variants: list[Variant]) -> float | None:
        """Expected seconds for what is still to be measured, by its complexity."""
        points, limit = self.findings.points(self.variants), self.settings.estimate_above_s
        total = 0.0
        for variant in variants:
            if self.findings.reason(variant):
                continue
            if not self.findings.network.bootstraps(variant.segment):
                total += OVERHEAD_SECONDS
                continue
            point = self.findings.point(variant)
            expected = expected_evaluate_ms(point, points)
            if expected is None:
                return None
            if limit is not None and expected > limit * 1000 and any(is_near(point, each) for each in points):
                continue
            times = 1 if expected >= LONG_EVALUATION_MS else self.settings.limits.repeats + 1
            total += OVERHEAD_SECONDS + times * expected / 1000
            points.append(point)  # as if it were measured already: what is near it will be estimated
        return total


def profile_network(
    name: str,
    network: Network,
    settings: ProfileSettings,
    journal_path: Path,
    progress: SegmentProgress,
    *,
    resume: bool,
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
        JournalError: If the journal is another run's.
        MeasurementError: If not even the client's own layers can be run, or nothing starts.
        ReportError: If the machines of a cluster are not alike.
        SettingError: If a cluster cannot be used, or one of its machines was lost.
    """
    head = {
        "journal": 1,
        "network": network_digest(name),
        "machine": describe_machine(),
        "configuration": settings.to_json(),
    }
    with ExitStack() as stack:
        machines: Machines = ThisMachine(network, settings.limits)
        if settings.ray_address is not None:
            machines = stack.enter_context(ClusterMachines(settings.ray_address, name, settings.limits))
        journal = Journal(journal_path, head, resume=resume)
        try:
            findings = Findings(network, journal, settings.compiler, settings.trials)
            with tempfile.TemporaryDirectory(prefix="cryptml-profile-") as folder:
                return _Run(name, findings, settings, progress, Path(folder), machines).profile(), journal
        except BaseException:
            journal.close()
            raise
