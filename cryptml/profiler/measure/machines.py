"""Where compiled segments are measured: this machine, or those of a cluster (`cryptml.profiler.measure.ray_machines`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from cryptml.errors import MeasurementError
from cryptml.networks import Network
from cryptml.profiler.measure.measurement import Limits, measure_segment
from cryptml.profiler.measure.trials import Allocation, allocations, compare_circuits, remove_messages, try_allocations
from cryptml.splits import Segment

Tell = Callable[[str], None]
Entry = dict[str, Any]
"""Of a journal: what was found, or a ``reason`` why nothing was."""


class Machines(Protocol):
    """Machines that are alike, each of which measures one segment at a time; safe to call from as many threads."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    def measure(self, segment: Segment, folder: Path, tell: Tell) -> Entry:
        """Measure a compiled segment; see `cryptml.profiler.measure.measurement.measure_segment`."""
        ...

    def compare(self, segment: Segment, folders: tuple[Path, Path], tell: Tell) -> Entry:
        """Evaluate two circuits of a segment in turn; see `cryptml.profiler.measure.trials.compare_circuits`."""
        ...

    def divide(self, segment: Segment, folder: Path, measured: Mapping[str, Any], tell: Tell) -> Entry:
        """Try divisions of the threads; see `cryptml.profiler.measure.trials.try_allocations`."""
        ...

    def close(self) -> None:
        """End what is being measured, and give the machines back."""
        ...


class ThisMachine:
    """The one that runs this process; `Machines`.

    Args:
        network: Whose segments.
        limits: Of each.
    """

    count = 1

    def __init__(self, network: Network, limits: Limits) -> None:
        self._network = network
        self._limits = limits

    def measure(self, segment: Segment, folder: Path, tell: Tell) -> Entry:
        """See `Machines.measure`."""
        try:
            measured = measure_segment(self._network, segment, folder, self._limits, tell)
        except MeasurementError as error:
            return {"reason": str(error)}
        finally:
            remove_messages(folder)
        return {**asdict(measured), "cost": measured.cost(), "reason": None}

    def compare(self, segment: Segment, folders: tuple[Path, Path], tell: Tell) -> Entry:
        """See `Machines.compare`."""
        try:
            default, other = compare_circuits(self._network, segment, folders, self._limits, tell)
        except MeasurementError as error:
            return {"reason": str(error)}
        return {"default_ms": default, "other_ms": other}

    def divide(self, segment: Segment, folder: Path, measured: Mapping[str, Any], tell: Tell) -> Entry:
        """See `Machines.divide`."""
        try:
            found = try_allocations(self._network, segment, folder, self._limits, dict(measured), tell)
        except MeasurementError as error:
            found = [_not_tried(each, str(error)) for each in allocations(self._limits.threads)]
        return {"allocations": found}

    def close(self) -> None:
        """See `Machines.close`: it measures in the thread that asks, so there is nothing to end."""


def _not_tried(allocation: Allocation, reason: str) -> dict[str, Any]:
    return {**asdict(allocation), "reason": reason, "evaluate_ms": [], "round_ms": []}
