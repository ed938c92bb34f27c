"""Numbers about the service for Prometheus, on a port of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cryptml.errors import SettingError
from cryptml_server.base.models import Circuit

PREFIX = "cryptml_"
STAGES = ("receive", "wait", "evaluate")
"""Of an evaluation: its body comes in, it waits for a worker, a worker has it."""

EVALUATION_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120, 300, 600, 900)
REQUEST_BUCKETS = (0.001, 0.005, 0.01, *EVALUATION_BUCKETS[1:])
MOST_REASONS = 64
"""Kinds of refusals that are counted apart; all further ones are one."""

WORKER_MODULE = b"cryptml_server.workers.process"
PROC = Path("/proc")

_log = logging.getLogger(__name__)

Values = Callable[[], float | Mapping[str, float]]


@dataclass(frozen=True)
class _Watched:
    """A number that is asked for at each scrape; of several kinds where it has a label."""

    name: str
    meaning: str
    values: Values
    label: str | None


class Metrics:
    """What is counted, in a registry of its own; safe to call from any thread.

    Labels are names of the service's own: route templates, models, segments, kinds of refusals. None is a client's.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._watched: list[_Watched] = []
        self._reasons: set[str] = set()
        self._requests = self._counter("requests", "HTTP requests answered.", "route", "method", "status")
        self._request_seconds = self._histogram(
            "request_seconds", "Time to answer an HTTP request.", REQUEST_BUCKETS, "route", "method"
        )
        self._refusals = self._counter("refusals", "Requests refused, by the kind of problem.", "reason")
        self._workers_lost = self._counter(
            "workers_lost", "Worker processes that ended, or were ended, during a request."
        )
        self._evaluation_seconds = self._histogram(
            "evaluation_seconds", "Time that circuits took, without waiting.", EVALUATION_BUCKETS, "model", "segment"
        )
        self._stage_seconds = self._histogram(
            "stage_seconds", "Stages of an evaluation: receive, wait, evaluate.", EVALUATION_BUCKETS, "stage", "model"
        )
        self._uploaded = self._counter("uploaded_bytes", "Bytes of evaluation keys received.")
        self._jobs = self._counter("jobs_finished", "Jobs that ended, by outcome.", "outcome")
        self.registry.register(_Observed(self._watched))
        self.registry.register(_ResidentMemory())

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: Template, never a path.
            method: One of a few.
            status: Of HTTP; 0 where the connection ended before.
            seconds: From its head to the end of the answer.
        """
        self._requests.labels(route, method, str(status)).inc()
        self._request_seconds.labels(route, method).observe(seconds)

    def refused(self, reason: str) -> None:
        """Count a refusal by its problem's kind."""
        if reason not in self._reasons and len(self._reasons) >= MOST_REASONS:
            reason = "other"
        self._reasons.add(reason)
        self._refusals.labels(reason).inc()

    def stage(self, name: str, model: str, seconds: float) -> None:
        """Note how long a stage of `STAGES` took.

        Raises:
            ValueError: If it is none of them.
        """
        if name not in STAGES:
            raise ValueError(f"{name!r} is no stage; use one of {', '.join(STAGES)}")
        self._stage_seconds.labels(name, model).observe(seconds)

    def evaluated(self, circuit: Circuit, seconds: float) -> None:
        """Note how long a circuit took; that is the stage ``evaluate`` too."""
        self._evaluation_seconds.labels(circuit.model, f"{circuit.segment[0]}-{circuit.segment[1]}").observe(seconds)
        self.stage("evaluate", circuit.model, seconds)

    def worker_lost(self) -> None:
        """Count a worker that ended during a request."""
        self._workers_lost.inc()

    def uploaded(self, count: int) -> None:
        """Count bytes of evaluation keys that came in."""
        self._uploaded.inc(count)

    def job_finished(self, outcome: str) -> None:
        """Count a job that ended; outcomes are few and the service's own."""
        self._jobs.labels(outcome).inc()

    def watch(self, name: str, meaning: str, values: Values, *, label: str | None = None) -> None:
        """Ask for a number at each scrape; one that cannot be had is left out of it.

        Args:
            name: Without the prefix.
            meaning: One sentence.
            values: Gives the number, or one for each value of the label; called from another thread.
            label: What the numbers differ in.
        """
        self._watched.append(_Watched(f"{PREFIX}{name}", meaning, values, label))

    @contextmanager
    def serving(self, host: str, port: int | None) -> Iterator[None]:
        """Answer scrapes within the block, where a port is given.

        Raises:
            SettingError: If the port cannot be had.
        """
        if port is None:
            yield
            return
        try:
            server, thread = start_http_server(port, host, self.registry)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "not a name of a host"
            raise SettingError(
                f"cannot listen for metrics on {host} port {port} ({reason}); choose another metrics_port, or leave it out"
            ) from error
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}{name}", meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}{name}", meaning, labels, buckets=buckets, registry=self.registry)


class _Observed(Collector):
    """Numbers that others are asked for."""

    def __init__(self, watched: list[_Watched]) -> None:
        self._watched = watched

    def describe(self) -> list[Metric]:
        """Name nothing in advance: whoever is asked may not be ready yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Ask everybody."""
        for each in list(self._watched):
            try:
                found = each.values()
            except Exception as error:  # noqa: BLE001 (a number that cannot be had does not take the others with it)
                _log.warning("the metric %s cannot be had (%s)", each.name, type(error).__name__)
                continue
            family = GaugeMetricFamily(each.name, each.meaning, labels=[each.label] if each.label else [])
            if isinstance(found, Mapping):
                for value, number in found.items():
                    family.add_metric([value], number)
            else:
                family.add_metric([], found)
            yield family


class _ResidentMemory(Collector):
    """Memory of the service and of its worker processes on this machine, as the system counts it now."""

    def describe(self) -> list[Metric]:
        """Name nothing in advance."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read it."""
        family = GaugeMetricFamily(
            f"{PREFIX}resident_bytes", "Memory of the service and of each of its workers.", labels=["process"]
        )
        for name, pid in [("service", "self"), *((f"worker-{place}", pid) for place, pid in enumerate(worker_pids()))]:
            found = resident_bytes(pid)
            if found is not None:
                family.add_metric([name], found)
        yield family


def worker_pids() -> list[str]:
    """Return this process's workers, the oldest first; none where the system does not say."""
    found: set[str] = set()
    for children in PROC.glob("self/task/*/children"):
        with suppress(OSError):  # the thread has ended
            found.update(children.read_text().split())
    return sorted((pid for pid in found if _is_worker(pid)), key=int)


def resident_bytes(pid: str) -> int | None:
    """Return what a process has in memory; None where it is gone or the system does not say."""
    try:
        lines = (PROC / pid / "status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), None)


def _is_worker(pid: str) -> bool:
    try:
        return WORKER_MODULE in (PROC / pid / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
