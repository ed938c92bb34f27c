"""The service's own queue in virtual time: who asks when, which worker is free, and which keys it has in memory."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from cryptml_server.workers.queue import FairQueue, QueueEntry
from cryptml_server.workers.slots import WorkerSlot, prefer
from numpy.typing import NDArray

from cryptml.verification.capacity.work import Work

SETTLED = 0.2
"""Share of the answers, the first, that are not counted: the queue is empty and no worker has keys when they come."""


@dataclass(frozen=True)
class Load:
    """What came of a simulation.

    Attributes:
        seconds: (answers,) float64, from the picture to the probability.
        waited: (requests,) float64, seconds in the queue.
        busy: Share of the workers' time in which they were at work.
        loads: Key sets that were read into a worker's memory, an answer.
        most_waiting: Requests that waited at once, at most.
    """

    seconds: NDArray[np.float64]
    waited: NDArray[np.float64]
    busy: float
    loads: float
    most_waiting: int

    def quantile(self, share: float) -> float:
        """Return the seconds within which such a share of the answers came."""
        return float(np.quantile(self.seconds, share))


@dataclass(frozen=True)
class Arrivals:
    """Pictures by when they are there.

    Attributes:
        at: (pictures,) float64 seconds, ascending.
        clinic: (pictures,) int64, whose each is.
    """

    at: NDArray[np.float64]
    clinic: NDArray[np.int64]

    @staticmethod
    def poisson(rate: float, pictures: int, clinics: int, seed: int) -> Arrivals:
        """Return pictures that come independently of each other, of clinics that ask equally often.

        Args:
            rate: Pictures a second.
            pictures: How many.
            clinics: Of how many.
            seed: Of both.
        """
        random = np.random.default_rng(seed)
        return Arrivals(
            np.cumsum(random.exponential(1 / rate, pictures)), random.integers(0, clinics, pictures, dtype=np.int64)
        )


def simulate(work: Work, arrivals: Arrivals, workers: int, cached_keys: int, seed: int = 0) -> Load:
    """Return what became of pictures at a service with so many workers behind one queue.

    Whose turn it is says the service's `FairQueue`; which worker takes it, its `prefer`; which keys a worker forgets, its `WorkerSlot`.
    Nothing is refused: how many wait at most is said.

    Args:
        work: Of each answer.
        arrivals: Of the pictures.
        workers: Of all machines.
        cached_keys: Key sets that each keeps in memory.
        seed: Of which measured time an evaluation takes.
    """
    return asyncio.run(_simulate(work, arrivals, workers, cached_keys, seed))


async def _simulate(work: Work, arrivals: Arrivals, workers: int, cached_keys: int, seed: int) -> Load:
    return _Simulation(work, arrivals, workers, cached_keys, seed).run()


ARRIVES, ENDS = 0, 1


class _Simulation:
    """Events in order of time; of equal times in the order in which they were made."""

    def __init__(self, work: Work, arrivals: Arrivals, workers: int, cached_keys: int, seed: int) -> None:
        self._work, self._arrivals, self._cached_keys = work, arrivals, cached_keys
        self._random = np.random.default_rng(seed)
        self._queue = FairQueue(most=1 << 62, busy=_never)
        self._free = [WorkerSlot(cast("Any", None)) for _ in range(workers)]
        self._workers = workers
        self._events: list[tuple[float, int, int, int, int, Any]] = []
        self._made = 0
        self._asked: dict[int, tuple[int, int, float]] = {}
        self._waiting = self._most_waiting = 0
        self._busy = 0.0
        self._loads = 0
        self._waited: list[float] = []
        self._seconds = np.zeros(len(arrivals.at))

    def run(self) -> Load:
        """Return what became of all pictures."""
        for picture, at in enumerate(self._arrivals.at.tolist()):
            self._add(at + self._work.requests[0].before_ms / 1000, ARRIVES, picture, 0, None)
        now = 0.0
        while self._events:
            now, _, kind, picture, step, slot = heapq.heappop(self._events)
            if kind == ARRIVES:
                self._arrive(now, picture, step)
            else:
                self._end(now, picture, step, slot)
            self._hand_out(now)
        first = int(SETTLED * len(self._seconds))
        return Load(
            seconds=self._seconds[first:],
            waited=np.array(self._waited),
            busy=self._busy / (self._workers * now),
            loads=self._loads / len(self._seconds),
            most_waiting=self._most_waiting,
        )

    def _add(self, at: float, kind: int, picture: int, step: int, slot: WorkerSlot | None) -> None:
        self._made += 1
        heapq.heappush(self._events, (at, self._made, kind, picture, step, slot))

    def _arrive(self, now: float, picture: int, step: int) -> None:
        clinic = int(self._arrivals.clinic[picture])
        entry = self._queue.join(str(clinic), f"{clinic}/{step}", patient=False)
        self._asked[id(entry)] = picture, step, now
        self._waiting += 1

    def _hand_out(self, now: float) -> None:
        while self._queue and self._free and (entry := self._queue.next()) is not None:
            slot = prefer(self._free, entry.keys)
            self._free.remove(slot)
            self._queue.begin(entry, slot)
            self._begin(now, entry, slot)
        self._most_waiting = max(self._most_waiting, self._waiting)

    def _begin(self, now: float, entry: QueueEntry, slot: WorkerSlot) -> None:
        picture, step, since = self._asked.pop(id(entry))
        request = self._work.requests[step]
        self._waiting -= 1
        self._waited.append(now - since)
        takes = request.evaluate_ms[int(self._random.integers(len(request.evaluate_ms)))]
        if entry.keys not in slot.keys:
            takes += request.load_keys_ms
            self._loads += 1
        slot.note(entry.keys, self._cached_keys)
        self._busy += takes / 1000
        self._add(now + takes / 1000, ENDS, picture, step, slot)

    def _end(self, now: float, picture: int, step: int, slot: WorkerSlot) -> None:
        self._queue.end(str(int(self._arrivals.clinic[picture])))
        self._free.append(slot)
        then = now + self._work.requests[step].after_ms / 1000
        if step + 1 < len(self._work.requests):
            self._add(then + self._work.requests[step + 1].before_ms / 1000, ARRIVES, picture, step + 1, None)
        else:
            self._seconds[picture] = then + self._work.client_ms / 1000 - self._arrivals.at[picture]


def _never() -> Any:
    raise AssertionError("unreachable: nothing is refused")
