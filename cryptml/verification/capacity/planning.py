"""How many machines keep a demand's bound, and what these take of memory, disk and wire."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptml.errors import SettingError
from cryptml.listening import Listener, SilentListener
from cryptml.profiler.plan.report import link_of, load_report
from cryptml.verification.capacity.demand import Demand
from cryptml.verification.capacity.simulation import Arrivals, Load, simulate
from cryptml.verification.capacity.work import Work, work_of

LEAST_KEYS, MOST_KEYS = 2, 64
"""Key sets in a worker's memory that a service may be set to (`cryptml_server.base.settings`)."""

MEMORY_SHARE = 0.8
"""Of a machine, for workers."""

FEWEST, MOST = 4_000, 20_000
"""Pictures of a simulation: as many as the busiest hour has, within these."""

MOST_MACHINES = 100_000

BUSIEST = 0.97
"""Share of the workers' time that an hour may take at all: above, the queue grows for as long as the hour lasts."""

QUANTILE = 0.95


@dataclass(frozen=True)
class CapacityRequest:
    """What is to be planned.

    Attributes:
        report: A profile, of a machine like those that will be used.
        split: Letters; all layers on the server if None.
        demand: Of the clinics.
        beside: Numbers of clinics that the plan is made for too, each as busy as those of ``demand``.
        bandwidth_mbps: Of the link; the report's if None.
        rtt_ms: Its round-trip time; the report's if None.
        cached_keys: Key sets in each worker's memory; as many as fit if None.
        seed: Of the simulation.
    """

    report: Path
    demand: Demand
    split: str | None = None
    beside: tuple[int, ...] = (1000,)
    bandwidth_mbps: float | None = None
    rtt_ms: float | None = None
    cached_keys: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class PlannedDeployment:
    """What one demand needs.

    Attributes:
        demand: Itself.
        machines: As the profiled one.
        load: Of the busiest hour, simulated.
        key_disk_bytes: For the evaluation keys of all clinics.
        up_mbps: Into the service in the busiest hour, on average.
        down_mbps: Out of it.
    """

    demand: Demand
    machines: int
    load: Load
    key_disk_bytes: int
    up_mbps: float
    down_mbps: float


@dataclass(frozen=True)
class CapacityPlan:
    """What a split needs for some demands.

    Attributes:
        work: Of one answer.
        cores: Of each machine.
        cached_keys: Key sets in each worker's memory.
        worker_bytes: Of a worker with so many.
        deployments: In the order asked for.
    """

    work: Work
    cores: int
    cached_keys: int
    worker_bytes: int
    deployments: tuple[PlannedDeployment, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        division = self.work.division
        return {
            "split": self.work.split,
            "workers_a_machine": division.workers,
            "threads_a_worker": division.threads,
            "cores_a_machine": self.cores,
            "cached_keys": self.cached_keys,
            "worker_bytes": self.worker_bytes,
            "alone_seconds": self.work.alone_ms / 1000,
            "plans": [
                {
                    "clinics": each.demand.clinics,
                    "pictures_a_day": each.demand.pictures_a_day,
                    "hours": each.demand.hours,
                    "peak": each.demand.peak,
                    "pictures_a_second": each.demand.pictures_a_second,
                    "p95_seconds_asked": each.demand.p95_seconds,
                    "machines": each.machines,
                    "workers": each.machines * division.workers,
                    "cores": each.machines * self.cores,
                    "seconds": {f"p{share * 100:g}": each.load.quantile(share) for share in (0.5, QUANTILE, 0.99)},
                    "busy": each.load.busy,
                    "key_loads_an_answer": each.load.loads,
                    "most_waiting": each.load.most_waiting,
                    "memory_a_machine_bytes": division.workers * self.worker_bytes,
                    "key_disk_bytes": each.key_disk_bytes,
                    "up_mbps": each.up_mbps,
                    "down_mbps": each.down_mbps,
                }
                for each in self.deployments
            ],
        }


def plan_capacity(request: CapacityRequest, *, listener: Listener | None = None) -> CapacityPlan:
    """Return the fewest machines that keep each demand's bound.

    Raises:
        ReportError: If the report cannot be read, or the split asks no service or was not measured.
        SettingError: If no number of machines keeps the bound, or the keys do not fit into a machine.
        SplitError: If the split does not fit the network.
    """
    listener = listener if listener is not None else SilentListener()
    document = load_report(request.report)
    letters = request.split or "S" * len(document["network"]["layers"])
    work = work_of(document, letters, link_of(document, request.bandwidth_mbps, request.rtt_ms))
    machine = document["machine"]
    cached = _cached_keys(work, int(machine["memory_bytes"]), request.cached_keys)
    wanted = [request.demand.clinics, *(each for each in request.beside if each != request.demand.clinics)]
    demands = [_like(request.demand, clinics) for clinics in wanted]
    with listener.bar("demands", len(demands)) as bar:
        found: list[PlannedDeployment] = []
        for demand in demands:
            found.append(_deployment(work, demand, cached, request.seed))
            bar(len(found))
    return CapacityPlan(work, int(machine["cores"]), cached, _worker_bytes(work, cached), tuple(found))


def _like(demand: Demand, clinics: int) -> Demand:
    return Demand(clinics, demand.pictures_a_day, demand.p95_seconds, demand.hours, demand.peak)


def _cached_keys(work: Work, memory_bytes: int, asked: int | None) -> int:
    """Return how many key sets each worker keeps: what was asked for, or what fits into a machine's memory.

    Raises:
        SettingError: If that is out of bounds, or does not fit.
    """
    needed = max(LEAST_KEYS, len(work.requests))
    room = MEMORY_SHARE * memory_bytes / work.division.workers
    fitting = max((keys for keys in range(needed, MOST_KEYS + 1) if _worker_bytes(work, keys) <= room), default=0)
    if asked is not None and not 1 <= asked <= MOST_KEYS:
        raise SettingError(f"`cached_keys` is {asked}, which is not 1 to {MOST_KEYS}; choose another")
    keys = fitting if asked is None else asked
    each = _worker_bytes(work, keys or needed)
    if keys == 0 or each > room:
        raise SettingError(
            f"{work.division.workers} workers with {keys or needed} key sets take {each:,} bytes each, and the profiled machine has "
            f"{memory_bytes:,} for all; profile a larger one, or give fewer `cached_keys`"
        )
    return keys


def _worker_bytes(work: Work, cached_keys: int) -> int:
    more = max(0, cached_keys - len(work.requests))
    return work.worker_bytes + more * max(each.expanded_key_bytes for each in work.requests)


def _deployment(work: Work, demand: Demand, cached_keys: int, seed: int) -> PlannedDeployment:
    if work.alone_ms / 1000 > demand.p95_seconds:
        raise SettingError(
            f"one answer of split {work.split} takes {work.alone_ms / 1000:.3g} s where nobody else asks, more than the "
            f"{demand.p95_seconds:g} s of `p95_seconds`, and more machines do not help; choose another split, or allow more"
        )
    rate = demand.pictures_a_second
    pictures = round(min(max(rate * 3600, FEWEST), MOST))
    arrivals = Arrivals.poisson(rate, pictures, demand.clinics, seed)
    tried: dict[int, Load] = {}

    def keeps(machines: int) -> bool:
        if machines not in tried:
            tried[machines] = simulate(work, arrivals, machines * work.division.workers, cached_keys, seed)
        return tried[machines].busy <= BUSIEST and tried[machines].quantile(QUANTILE) <= demand.p95_seconds

    machines = _least(keeps, math.ceil(rate * work.worker_ms / 1000 / work.division.workers / BUSIEST))
    bits = 8 * rate / 1e6
    return PlannedDeployment(
        demand=demand,
        machines=machines,
        load=tried[machines],
        key_disk_bytes=demand.clinics * work.key_bytes,
        up_mbps=bits * work.upload_bytes,
        down_mbps=bits * work.download_bytes,
    )


def _least(keeps: Callable[[int], bool], begin: int) -> int:
    """Return the least number that keeps a bound which all larger ones keep too, from a number that may be too small."""
    low = high = max(1, begin)
    while not keeps(high):
        if high >= MOST_MACHINES:
            raise SettingError(f"more than {MOST_MACHINES} machines would be needed; allow more `p95_seconds`")
        low, high = high + 1, high + max(1, high // 4)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(middle) else (middle + 1, high)
    return high
