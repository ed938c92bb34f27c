"""A profile from a network's name to a report's file: one call for the command line, a notebook or a program."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptml.errors import SettingError
from cryptml.fhe.settings import DEFAULT_MAX_FAILURE, CompilerSettings, p_error_within
from cryptml.files import require_writable
from cryptml.listening import saying
from cryptml.networks import load_network
from cryptml.networks.network import Network
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR
from cryptml.profiler.measure.measurement import Limits
from cryptml.profiler.plan.costs import Link
from cryptml.profiler.plan.report import save_report
from cryptml.profiler.profiling import profile_network
from cryptml.profiler.settings import ProfileSettings, SegmentProgress
from cryptml.splits import Segment


@dataclass(frozen=True)
class ProfileRequest:
    """What to measure, and how.

    Attributes:
        network: Folder of a trained network, or a shipped network's name.
        repeats: Samples of each stage but making keys, after a first one.
        segment_timeout: Seconds for compiling, and for measuring, a segment.
        segment_memory_mb: Of each measuring process, 10^6 bytes; no limit if None.
        estimate_above: Seconds; segments with a longer expected evaluation are estimated from one like them. All are measured if None.
        max_failure: Probability, at most, that a whole answer holds a wrong table entry, with any split; 2^-30 if None. Where 2^-40
            for one programmable bootstrap does not keep it, a smaller one is taken.
        p_error: Probability that one programmable bootstrap fails, instead of the bound's.
        threads: Of the server; all cores if None.
        trials: Whether other compiler settings and divisions of threads are tried.
        bandwidth_mbps: Of the link that the report is composed for.
        rtt_ms: Its round-trip time.
        ray_address: ``HOST:PORT`` of a Ray cluster's head, or ``auto``; this machine if None.
    """

    network: str
    repeats: int = 3
    segment_timeout: float = 1800
    segment_memory_mb: float | None = None
    estimate_above: float | None = None
    max_failure: float | None = None
    p_error: float | None = None
    threads: int | None = None
    trials: bool = True
    bandwidth_mbps: float = 100.0
    rtt_ms: float = 20.0
    ray_address: str | None = None

    def check(self) -> None:
        """Refuse what no run could keep.

        Raises:
            SettingError: With every reason.
        """
        memory, failure = self.segment_memory_mb, self.max_failure
        above = 0.0 if self.estimate_above is None else self.estimate_above
        bounds = (
            ("p_error", self.p_error, self.p_error is None or 0 < self.p_error < 1, "it lies between 0 and 1"),
            ("max_failure", failure, failure is None or 0 < failure < 1, "it lies between 0 and 1"),
            (
                "segment_timeout",
                self.segment_timeout,
                0 < self.segment_timeout <= 1e6,
                "it lies between 0 and 1000000",
            ),
            ("segment_memory_mb", memory, memory is None or 1 <= memory <= 1e8, "it is 1 or more"),
            ("estimate_above", above, 0 <= above <= 1e6, "it is 0 or more"),
            (
                "bandwidth_mbps",
                self.bandwidth_mbps,
                0.001 <= self.bandwidth_mbps <= 1e6,
                "it lies between 0.001 and 1000000",
            ),
            ("rtt_ms", self.rtt_ms, 0 <= self.rtt_ms <= 1e6, "it lies between 0 and 1000000"),
        )
        problems = [f"`{name}` is {value}, {bound}" for name, value, fits, bound in bounds if not fits]
        if self.p_error is not None and failure is not None:
            problems.append("`p_error` and `max_failure` both say how often a bootstrap may fail; give one of them")
        if problems:
            raise SettingError("; ".join(problems))

    def settings(self, network: Network) -> ProfileSettings:
        """Return how the network is profiled: its bootstraps decide on the probability of error where a bound is given."""
        bound = self.max_failure or DEFAULT_MAX_FAILURE
        bootstraps = network.bootstraps(Segment(0, len(network)))
        return ProfileSettings(
            compiler=CompilerSettings(self.p_error or min(DEFAULT_P_ERROR, p_error_within(bound, bootstraps))),
            max_failure=None if self.p_error else bound,
            trials=self.trials,
            limits=Limits(
                repeats=self.repeats,
                threads=self.threads or os.cpu_count() or 1,
                timeout_seconds=self.segment_timeout,
                memory_bytes=None if self.segment_memory_mb is None else round(self.segment_memory_mb * 1e6),
            ),
            estimate_above_s=self.estimate_above,
            link=Link(self.bandwidth_mbps, self.rtt_ms),
            ray_address=self.ray_address,
        )


def profile(
    request: ProfileRequest, out: Path, progress: SegmentProgress, *, resume: bool = False, force: bool = False
) -> dict[str, Any]:
    """Measure every segment once, each in processes of its own, compose every split from them, and write the report.

    What is finished lies beside the report until it is written, so that a resumed run loses at most the segment in progress.

    Args:
        request: What to measure, and how.
        out: The report, JSON.
        progress: Told how far the run is.
        resume: Continue a run that was interrupted.
        force: Replace a report that is there.

    Returns:
        The report.

    Raises:
        SettingError: If a number is out of bounds, or the file is there already.
        JournalError: If what lies beside the report is another run's.
        MeasurementError: If not even the client's own layers can be run, or nothing starts.
        ReportError: If the machines of a cluster are not alike.
        Interrupted: At Ctrl-C or SIGTERM, with what was kept.
    """
    request.check()
    if out.exists() and not force:
        raise SettingError(f"{out} exists; choose another file or pass `force` to replace it")
    network = load_network(request.network)
    require_writable(out.absolute().parent, SettingError)
    out.parent.mkdir(parents=True, exist_ok=True)
    journal_path = out.with_name(f"{out.name}.unfinished")
    with saying(lambda: _kept(journal_path)):
        document, journal = profile_network(
            request.network, network, request.settings(network), journal_path, progress, resume=resume
        )
    save_report(out, document)
    journal.remove()
    return document


def _kept(journal: Path) -> str:
    if not journal.exists():
        return "nothing was measured yet; the same command begins again"
    return f"{journal} keeps what was measured; the same command with `resume` goes on from there"
