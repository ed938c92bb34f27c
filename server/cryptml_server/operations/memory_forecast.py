"""What a deployment takes of a machine's memory: what `cryptml build` measured of each circuit, added up for the settings."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from cryptml.bundle.client import circuit_file
from cryptml.bundle.server import ServerBundle
from cryptml.errors import MeasurementError
from cryptml.fhe.parameters import CircuitParameters
from cryptml_server.base.settings import Settings

PROBE_SECONDS = 60.0
WEB, WORKER = "cryptml_server.app", "cryptml_server.workers.process"
PROBE = """
import importlib, sys
from cryptml.processes.memory import resident_bytes
importlib.import_module(sys.argv[1])
print(resident_bytes())
"""
"""What a process holds that has imported a module and done nothing."""


@dataclass(frozen=True)
class Forecast:
    """Memory in bytes, once workers hold as many key sets as they may, at the moment when each takes most.

    Attributes:
        cached_keys: Key sets that each worker keeps.
        workers: How many there are.
        web_bytes: Of the process that answers requests.
        least_bytes: Of a worker with one key set.
        worker_bytes: Of a worker with all of its key sets.
        most_bytes: That the settings let a worker have; None for no bound.
        measured: Whether every circuit was measured; else the figures are lower bounds.
    """

    cached_keys: int
    workers: int
    web_bytes: int
    least_bytes: int
    worker_bytes: int
    most_bytes: int | None
    measured: bool

    @property
    def total_bytes(self) -> int:
        """Of the service with its workers; a bounded worker drops key sets before it outgrows its bound."""
        each = self.worker_bytes if self.most_bytes is None else min(self.worker_bytes, self.most_bytes)
        return self.web_bytes + self.workers * each


def forecast(settings: Settings, bundles: Sequence[ServerBundle]) -> Forecast:
    """Return what a deployment takes.

    A worker holds Concrete, every circuit, what the first evaluation leaves, and the largest key sets as often as it may keep any; and
    for a moment what an evaluation, or another key set's arrival, takes beyond.

    Args:
        settings: Of the service.
        bundles: That it serves.

    Raises:
        MeasurementError: If a process that is measured now does not end.
    """
    cached = settings.cached_keys or max(2, max((_key_sets(bundle) for bundle in bundles), default=0))
    measured = [each for bundle in bundles for each in bundle.memory or ()]
    without = [bundle for bundle in bundles if bundle.memory is None and bundle.circuits]
    base = max((each.baseline_bytes for each in measured), default=0) or _imported_bytes(WORKER)
    base += sum(each.circuit_bytes for each in measured)
    base += max((each.runtime_bytes for each in measured), default=0)
    base += max((each.transient_bytes for each in measured), default=0)
    keys = [each.key_set_bytes for each in measured] + [each for bundle in without for each in _expanded(bundle)]
    most = max(keys, default=0)
    return Forecast(
        cached_keys=cached,
        workers=settings.workers,
        web_bytes=_imported_bytes(WEB),
        least_bytes=base + most,
        worker_bytes=base + cached * most,
        most_bytes=settings.worker_bytes,
        measured=not without,
    )


def _key_sets(bundle: ServerBundle) -> int:
    return len({circuit["key_set"] for circuit in bundle.circuits})


def _expanded(bundle: ServerBundle) -> list[int]:
    """Return the size of each circuit's evaluation keys once their seeds are expanded: less cannot be held."""
    folder = bundle.folder / "client"
    return [
        CircuitParameters.parse((folder / circuit_file(index)).read_bytes()).expanded_key_bytes
        for index in range(len(bundle.circuits))
    ]


@functools.cache  # the same all the while that this process runs
def _imported_bytes(module: str) -> int:
    """Return what a new process holds once it has imported a module."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE, module], capture_output=True, text=True, timeout=PROBE_SECONDS, check=True
        )
        return int(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise MeasurementError(f"a process with {module} could not be measured ({type(error).__name__})") from error
