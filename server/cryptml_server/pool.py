"""The workers, and who may use one next: a bounded queue that is fair between tenants."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from starlette.concurrency import run_in_threadpool

from cryptml_server.models import Circuit
from cryptml_server.problems import Problem
from cryptml_server.supervisor import Evaluation, Supervisor, WorkerLost

T = TypeVar("T")

MOST_QUARANTINED = 1024
"""Bodies that are remembered because workers died of them."""

LEARNING = 0.2
"""Weight of the latest request in the mean time that a worker is busy with one."""

FIRST_GUESS_SECONDS = 5.0
"""For the mean, before anything was asked."""


@dataclass(eq=False)
class _Seat:
    """A worker and what it is known to have in memory.

    Attributes:
        supervisor: Of the worker.
        keys: Names of the evaluation keys that it used last, the latest behind.
    """

    supervisor: Supervisor
    keys: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def note(self, name: str, most: int) -> None:
        """Remember that keys were used, as the worker itself does."""
        self.keys[name] = None
        self.keys.move_to_end(name)
        while len(self.keys) > most:
            self.keys.popitem(last=False)


@dataclass(eq=False)
class _Ticket:
    """A request that waits for a worker."""

    keys: str
    seat: asyncio.Future[_Seat]


class WorkerPool:
    """Several workers behind one queue; used from one event loop.

    Within a tenant requests go in order. Between tenants, the one with the fewest requests at work comes first, and of those the one
    that was served longest ago: one request of a tenant waits for at most one of each other's, however many these have sent. Of
    several free workers, one that has the request's evaluation keys in memory is preferred.

    Args:
        supervisors: Of the workers, one or more.
        cached_keys: Evaluation keys that each keeps in memory.
        waiting: Requests that may wait; more are told when to come back.
    """

    def __init__(self, supervisors: tuple[Supervisor, ...], *, cached_keys: int, waiting: int) -> None:
        self._seats = [_Seat(supervisor) for supervisor in supervisors]
        self._free = list(self._seats)
        self._cached_keys = cached_keys
        self._most_waiting = waiting
        self._waiting: dict[str, deque[_Ticket]] = {}
        self._at_work: Counter[str] = Counter()
        self._served: dict[str, int] = {}
        self._turn = 0
        self._busy_seconds = FIRST_GUESS_SECONDS
        self._quarantined: OrderedDict[bytes, None] = OrderedDict()

    async def start(self, circuits: tuple[Circuit, ...]) -> None:
        """Start all workers and let each load every circuit, so that a damaged one is found now.

        Raises:
            Problem: If a circuit does not load.
        """
        await asyncio.gather(*(run_in_threadpool(seat.supervisor.start, circuits) for seat in self._seats))

    async def stop(self) -> None:
        """End all workers, in the middle of evaluations too."""
        await asyncio.gather(*(run_in_threadpool(seat.supervisor.stop) for seat in self._seats))

    @property
    def alive(self) -> bool:
        """Whether every worker process runs."""
        return all(seat.supervisor.alive for seat in self._seats)

    @property
    def waiting(self) -> int:
        """Requests that wait for a worker."""
        return sum(len(tickets) for tickets in self._waiting.values())

    async def check_keys(self, tenant: str, path: Path, name: str) -> None:
        """Deserialise uploaded keys, which proves them well formed and keeps them ready.

        Args:
            tenant: Whose request it is.
            path: Of the file.
            name: That the worker remembers them by.

        Raises:
            Problem: 422 if they are malformed, 503 if too many wait.
        """
        async with self._seat(tenant, name) as seat:
            await self._timed(lambda: seat.supervisor.check_keys(path, name))
            seat.note(name, self._cached_keys)

    async def evaluate(self, tenant: str, circuit: Circuit, keys: Path, name: str, ciphertext: bytes) -> Evaluation:
        """Evaluate a circuit on one ciphertext; where the worker is lost, once more.

        Args:
            tenant: Whose request it is.
            circuit: To evaluate.
            keys: File of the evaluation keys.
            name: That workers remember these by.
            ciphertext: Serialised.

        Raises:
            Problem: 422 if it does not fit, or workers died of it; 503 if too many wait or two workers were lost; 504 past the deadline.
        """
        mark = hashlib.sha256(name.encode() + circuit.identity.encode() + ciphertext).digest()
        if mark in self._quarantined:
            raise Problem(
                422,
                "Evaluation failed",
                "workers ended during this very request before; it is not tried again: make keys and ciphertext anew",
            )
        for last in (False, True):
            async with self._seat(tenant, name) as seat:
                try:
                    found = await self._timed(lambda: seat.supervisor.evaluate(circuit, keys, name, ciphertext))
                except WorkerLost:
                    seat.keys.clear()
                    if not last:
                        continue
                    self._quarantine(mark)
                    raise
                seat.note(name, self._cached_keys)
                return found
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _quarantine(self, mark: bytes) -> None:
        self._quarantined[mark] = None
        while len(self._quarantined) > MOST_QUARANTINED:
            self._quarantined.popitem(last=False)

    async def _timed(self, action: Callable[[], T]) -> T:
        """Run an action in a thread, and learn from the time that it took."""
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            return await run_in_threadpool(action)
        finally:
            self._busy_seconds += LEARNING * (clock() - started - self._busy_seconds)

    @asynccontextmanager
    async def _seat(self, tenant: str, keys: str) -> AsyncIterator[_Seat]:
        seat = await self._take(tenant, keys)
        try:
            yield seat
        finally:
            self._at_work[tenant] -= 1
            if not self._at_work[tenant]:
                del self._at_work[tenant]
            self._free.append(seat)
            self._hand_out()

    async def _take(self, tenant: str, keys: str) -> _Seat:
        if not self._free and self.waiting >= self._most_waiting:
            rounds = (self.waiting + 1) / len(self._seats)
            raise Problem(
                503,
                "Too busy",
                f"{self.waiting} requests wait for {len(self._seats)} workers; try again later",
                retry_after=max(1, math.ceil(rounds * self._busy_seconds)),
            )
        ticket = _Ticket(keys, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(tenant, deque()).append(ticket)
        self._hand_out()
        try:
            return await ticket.seat
        except asyncio.CancelledError:
            if ticket.seat.done() and not ticket.seat.cancelled():  # handed out in the same moment
                self._at_work[tenant] -= 1
                self._free.append(ticket.seat.result())
                self._hand_out()
            else:
                self._forget(tenant, ticket)
            raise

    def _hand_out(self) -> None:
        while self._free and self._waiting:
            tenant = min(self._waiting, key=lambda name: (self._at_work[name], self._served.get(name, -1)))
            ticket = self._waiting[tenant].popleft()
            if not self._waiting[tenant]:
                del self._waiting[tenant]
            seat = next((seat for seat in self._free if ticket.keys in seat.keys), self._free[0])
            self._free.remove(seat)
            self._turn += 1
            self._served[tenant] = self._turn
            self._at_work[tenant] += 1
            ticket.seat.set_result(seat)

    def _forget(self, tenant: str, ticket: _Ticket) -> None:
        tickets = self._waiting.get(tenant)
        if tickets and ticket in tickets:
            tickets.remove(ticket)
            if not tickets:
                del self._waiting[tenant]
