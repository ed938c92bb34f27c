"""The workers, and who may use one next: a bounded queue that is fair between tenants."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from cryptml_server.base.metrics import Metrics
from cryptml_server.base.models import Circuit
from cryptml_server.base.problems import Problem
from cryptml_server.workers.protocol import Evaluation, Worker, WorkerLost
from cryptml_server.workers.quarantine import Quarantine

T = TypeVar("T")

WATCH_SECONDS = 1.0
"""Between two looks for workers that died while nobody asked."""

NEARLY_SECONDS = 0.5
"""An evaluation that nobody wants any more may end by itself within so long, and its worker keep its keys; else the worker is ended."""

PING_SECONDS = 2.0
"""A free worker that has said nothing for so long is asked whether it is there."""

LATELY_SECONDS = 6.0
"""One that has said nothing for longer does not stand by: more than `PING_SECONDS`, a look and a machine out of breath take."""

LEARNING = 0.2
"""Weight of the latest request in the mean time that a worker is busy with one."""

FIRST_GUESS_SECONDS = 5.0
"""For the mean, before anything was asked."""

TOO_SLOW = 504
"""What a worker was ended for that exceeded its time: it is lost as well."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What a worker is to evaluate.

    Attributes:
        circuit: On the service's disk.
        keys: File of the evaluation keys.
        name: That workers remember these by.
        ciphertext: Serialised.
    """

    circuit: Circuit
    keys: Path
    name: str
    ciphertext: bytes


@dataclass(eq=False)
class _Seat:
    """A worker and what it is known to have in memory.

    Attributes:
        worker: Itself.
        keys: Names of the evaluation keys that it used last, the latest behind.
        unwanted: Names of those that it is to forget.
        busy: Whether a request has it.
    """

    worker: Worker
    keys: OrderedDict[str, None] = field(default_factory=OrderedDict)
    unwanted: set[str] = field(default_factory=set)
    busy: bool = False

    @property
    def stands_by(self) -> bool:
        """Whether it can be reckoned with: the worker has tried all circuits, and is at a request or answered lately."""
        worker = self.worker
        return worker.alive and worker.loads.tried and (self.busy or _now() - worker.answered <= LATELY_SECONDS)

    @property
    def wants_tending(self) -> bool:
        """Whether something is to be done for the worker, while it is free."""
        worker = self.worker
        silent = _now() - worker.answered > PING_SECONDS
        return bool(self.unwanted or not worker.alive or silent or worker.loads.due)

    def note(self, name: str, most: int) -> None:
        """Remember that keys were used, as the worker itself does."""
        self.keys[name] = None
        self.keys.move_to_end(name)
        while len(self.keys) > most:
            self.keys.popitem(last=False)


@dataclass(frozen=True)
class Standing:
    """What a service's workers can do now.

    Attributes:
        workers: All of them.
        standing_by: Those that evaluate, or answered lately.
        circuits: That the service has.
        broken: Those that did not load in a worker that stands by.
    """

    workers: int
    standing_by: int
    circuits: int
    broken: int


@dataclass(eq=False)
class _Ticket:
    """A request that waits for a worker; a patient one is neither counted nor refused."""

    keys: str
    patient: bool
    seat: asyncio.Future[_Seat]


class WorkerPool:
    """Several workers behind one queue; used from one event loop.

    Within a tenant requests go in order. Between tenants, the one with the fewest requests at work comes first, and of those the one
    that was served longest ago: one request of a tenant waits for at most one of each other's, however many these have sent. Of
    several free workers, one that has the request's evaluation keys in memory is preferred.

    Args:
        workers: One or more.
        cached_keys: Evaluation keys that each keeps in memory.
        waiting: Requests that may wait; more are told when to come back.
        metrics: Told what takes how long.
    """

    def __init__(
        self, workers: tuple[Worker, ...], *, cached_keys: int, waiting: int, metrics: Metrics | None = None
    ) -> None:
        self._metrics = metrics if metrics is not None else Metrics()
        self._seats = [_Seat(worker) for worker in workers]
        self._free = list(self._seats)
        self._cached_keys = cached_keys
        self._most_waiting = waiting
        self._waiting: dict[str, deque[_Ticket]] = {}
        self._at_work: Counter[str] = Counter()
        self._served: dict[str, int] = {}
        self._turn = 0
        self._busy_seconds = FIRST_GUESS_SECONDS
        self._seconds: dict[str, float] = {}
        self._circuits: tuple[Circuit, ...] = ()
        self._quarantine = Quarantine()
        self._tending: TaskGroup | None = None
        self._limiter: anyio.CapacityLimiter | None = None

    async def start(self, circuits: tuple[Circuit, ...]) -> None:
        """Start all workers and let each load every circuit, so that a damaged one is found now.

        Raises:
            Problem: If a circuit does not load; `watch` has it tried again.
        """
        self._circuits = circuits
        starting = (self._in_thread(partial(seat.worker.start, circuits)) for seat in self._seats)
        for found in await asyncio.gather(*starting, return_exceptions=True):  # all of them, before anything is asked
            if isinstance(found, BaseException):
                raise found

    async def stop(self) -> None:
        """End all workers, in the middle of evaluations too."""
        await asyncio.gather(*(asyncio.to_thread(seat.worker.stop) for seat in self._seats))

    @property
    def alive(self) -> bool:
        """Whether a worker process runs; one that died is started again by `watch`."""
        return any(seat.worker.alive for seat in self._seats)

    @property
    def standing(self) -> Standing:
        """What the workers can do now."""
        standing = [seat for seat in self._seats if seat.stands_by]
        broken = {circuit for seat in standing for circuit in seat.worker.loads.broken}
        return Standing(len(self._seats), len(standing), len(self._circuits), len(broken))

    @property
    def waiting(self) -> int:
        """Requests that wait for a worker; other threads may ask too."""
        return sum(map(self._waiting_of, list(self._waiting)))

    def forget(self, names: Iterable[str]) -> None:
        """Let workers drop deleted evaluation keys, each as soon as it is free."""
        for name in names:
            for seat in self._seats:
                if name in seat.keys:
                    seat.unwanted.add(name)

    @property
    def remembered(self) -> set[str]:
        """Names of the evaluation keys that workers have in memory."""
        return {name for seat in self._seats for name in seat.keys}

    async def watch(self) -> None:
        """Tend free workers until cancelled.

        Those that died or hang while nobody asks are replaced, circuits that did not load are tried again, what is deleted is forgotten.
        """
        try:
            async with anyio.create_task_group() as self._tending:
                while True:
                    for seat in list(self._free):
                        if seat.wants_tending:
                            self._free.remove(seat)
                            self._tending.start_soon(self._tend, seat)
                    await asyncio.sleep(WATCH_SECONDS)
        finally:
            self._tending = None

    async def _tend(self, seat: _Seat) -> None:
        try:
            await self._in_thread(partial(_tidy, seat))
        finally:
            self._free.append(seat)
            self._hand_out()

    async def check_keys(self, tenant: str, path: Path, name: str) -> None:
        """Deserialise uploaded keys, which proves them well formed and keeps them ready.

        Args:
            tenant: Whose request it is.
            path: Of the file.
            name: That the worker remembers them by.

        Raises:
            Problem: 422 if they are malformed, 429 after too many lost workers, 503 if too many wait.
        """
        self._quarantine.require_calm(tenant)
        async with self._seat(tenant, name) as seat:
            await self._timed(tenant, seat, lambda: seat.worker.check_keys(path, name))
            seat.note(name, self._cached_keys)

    async def evaluate(self, tenant: str, request: Request) -> Evaluation:
        """Evaluate a circuit on one ciphertext; where the worker is lost, once more. Cancelled, it stops the worker.

        Raises:
            Problem: 422 if it does not fit, or workers died of it; 429 after too many lost workers; 503 if too many wait, two
                workers were lost or its keys went; 504 past the deadline.
        """

        async def take() -> Request:
            if (
                not request.keys.exists()
            ):  # deleted, or out of this machine's cache, while it waited: who asks again finds out
                raise Problem(503, "Keys unreadable", "the keys are not at hand any more; try again", retry_after=1)
            return request

        found = await self._evaluate(tenant, request.name, take, patient=False)
        if found is None:
            raise AssertionError("unreachable: there is a request")
        return found

    async def evaluate_next(
        self, tenant: str, keys: str, take: Callable[[], Awaitable[Request | None]]
    ) -> Evaluation | None:
        """Evaluate what is taken once a worker is free: what waits so is neither counted nor refused.

        Args:
            tenant: Whose turn it is.
            keys: What workers may remember the keys by that will be needed.
            take: Returns the request, or None where there is none any more.

        Raises:
            Problem: As `evaluate`.
        """
        return await self._evaluate(tenant, keys, take, patient=True)

    async def _evaluate(
        self, tenant: str, keys: str, take: Callable[[], Awaitable[Request | None]], *, patient: bool
    ) -> Evaluation | None:
        self._quarantine.require_calm(tenant)
        request, mark, began = None, b"", _now()
        for last in (False, True):
            async with self._seat(tenant, keys, patient=patient) as seat:
                if request is None:
                    request = await take()
                    if request is None:
                        return None
                    mark = self._quarantine.mark(request.name, request.circuit.identity, request.ciphertext)
                    if not patient:  # else most of it was waiting for a job to come
                        self._metrics.stage("wait", request.circuit.model, _now() - began)
                action = partial(seat.worker.evaluate, request.circuit, request.keys, request.name, request.ciphertext)
                try:
                    found = await self._timed(tenant, seat, action)
                except WorkerLost as lost:
                    if not last:
                        continue
                    self._quarantine.condemn(mark)
                    lost.counts = True
                    raise
                seat.note(request.name, self._cached_keys)
                self._learn(request.circuit, found.evaluate_ms / 1000)
                self._metrics.evaluated(request.circuit, found.evaluate_ms / 1000)
                return found
        raise AssertionError("unreachable: the last attempt returns or raises")

    def seconds(self, circuit: str) -> float:
        """Return how long evaluations of a circuit took lately, by its identity; a guess where none was made."""
        return self._seconds.get(circuit, self._busy_seconds)

    def _learn(self, circuit: Circuit, seconds: float) -> None:
        before = self._seconds.get(circuit.identity, seconds)
        self._seconds[circuit.identity] = before + LEARNING * (seconds - before)

    async def _timed(self, tenant: str, seat: _Seat, action: Callable[[], T]) -> T:
        """Run an action of a worker in a thread, and learn from the time that it took and from what came of it."""
        started = _now()
        running = asyncio.ensure_future(self._in_thread(action))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                if await _stop(running, seat):
                    self._quarantine.stopped(tenant)
            raise
        except Problem as problem:
            if isinstance(problem, WorkerLost) or problem.status == TOO_SLOW:
                seat.keys.clear()  # another process is in its place
                seat.unwanted.clear()
                self._metrics.worker_lost()
                self._quarantine.lost(tenant)
            raise
        finally:
            self._busy_seconds += LEARNING * (_now() - started - self._busy_seconds)

    async def _in_thread(self, action: Callable[[], T]) -> T:
        """Run in one of as many threads as there are workers: a thread more than those that the rest of the service shares."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(len(self._seats))
        return await anyio.to_thread.run_sync(action, limiter=self._limiter)

    @asynccontextmanager
    async def _seat(self, tenant: str, keys: str, *, patient: bool = False) -> AsyncIterator[_Seat]:
        seat = await self._take(tenant, keys, patient=patient)
        try:
            yield seat
        finally:
            self._give_back(tenant, seat)

    def _give_back(self, tenant: str, seat: _Seat) -> None:
        seat.busy = False
        self._at_work[tenant] -= 1
        if not self._at_work[tenant]:
            del self._at_work[tenant]
        wanting = seat.unwanted or not seat.worker.loads.tried  # keys to forget, or another process to load circuits
        if wanting and self._tending is not None:  # before the next request: a busy worker would never be seen to
            self._tending.start_soon(self._tend, seat)
            return
        self._free.append(seat)
        self._hand_out()

    async def _take(self, tenant: str, keys: str, *, patient: bool) -> _Seat:
        if not patient and self.waiting >= self._most_waiting and not self._ready():
            self._make_room(tenant)
        ticket = _Ticket(keys, patient, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(tenant, deque()).append(ticket)
        self._hand_out()
        try:
            return await ticket.seat
        except asyncio.CancelledError:
            handed_out = ticket.seat.done() and not ticket.seat.cancelled() and not ticket.seat.exception()
            if handed_out:  # in the same moment
                self._give_back(tenant, ticket.seat.result())
            else:
                self._forget(tenant, ticket)
            raise

    def _make_room(self, tenant: str) -> None:
        """Refuse the latest request of the tenant with most of them waiting, this new one where it is that tenant's.

        Raises:
            Problem: 503 if it is this one that is refused.
        """
        most = max(self._waiting, key=self._waiting_of, default=tenant)
        if most == tenant or self._waiting_of(tenant) + 1 >= self._waiting_of(most):
            raise self._busy()
        ticket = next(ticket for ticket in reversed(self._waiting[most]) if not ticket.patient)
        self._forget(most, ticket)
        if not ticket.seat.done():
            ticket.seat.set_exception(self._busy())

    def _waiting_of(self, tenant: str) -> int:
        return sum(not ticket.patient for ticket in list(self._waiting.get(tenant, ())))

    def _busy(self) -> Problem:
        rounds = (self.waiting + 1) / len(self._seats)
        return Problem(
            503,
            "Too busy",
            f"{self.waiting} requests wait for {len(self._seats)} workers; try again later",
            retry_after=max(1, math.ceil(rounds * self._busy_seconds)),
        )

    def _ready(self) -> list[_Seat]:
        """Return the free seats that may be handed out: those whose worker has died only where none is left that has not."""
        alive = {seat for seat in self._seats if seat.worker.alive}
        return [seat for seat in self._free if seat in alive] if alive else list(self._free)

    def _hand_out(self) -> None:
        while self._waiting and (ready := self._ready()):
            tenant = min(self._waiting, key=lambda name: (self._at_work[name], self._served.get(name, -1)))
            ticket = self._waiting[tenant].popleft()
            if not self._waiting[tenant]:
                del self._waiting[tenant]
            if ticket.seat.done():  # given up in the same moment
                continue
            seat = next((seat for seat in ready if ticket.keys in seat.keys), ready[0])
            self._free.remove(seat)
            seat.busy = True
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


async def _stop(running: asyncio.Future[Any], seat: _Seat) -> bool:
    """Wait for a moment for what nobody wants any more, and then end the worker that is at it; return whether that was done."""
    await asyncio.wait([running], timeout=NEARLY_SECONDS)
    ended = not running.done()
    if ended:
        seat.worker.interrupt()
        seat.keys.clear()
        seat.unwanted.clear()
    with suppress(Problem):
        await running
    return ended


def _tidy(seat: _Seat) -> None:
    """See to a free worker: that it is there, has its circuits and forgets what is not wanted."""
    if _try(_see_that_it_answers, seat):
        _try(_see_to_circuits, seat)
        _try(_see_to_keys, seat)


def _try(see_to: Callable[[_Seat], None], seat: _Seat) -> bool:
    """Do one thing for a worker, and return whether it went well; what fails is tried again by the next look."""
    try:
        see_to(seat)
    except Problem as problem:
        _log.warning("a worker could not be tended (%s)", problem.title)
    except Exception:  # noqa: BLE001 (one worker must not end what looks after all)
        _log.exception("a worker could not be tended")
    else:
        return True
    return False


def _see_that_it_answers(seat: _Seat) -> None:
    try:
        if not seat.worker.alive:
            seat.keys.clear()
            seat.unwanted.clear()
            seat.worker.revive()
        elif _now() - seat.worker.answered <= PING_SECONDS:
            return
        seat.worker.ping()
    except Problem:
        seat.keys.clear()  # another process is in its place
        seat.unwanted.clear()
        raise


def _see_to_circuits(seat: _Seat) -> None:
    if seat.worker.loads.due:
        seat.worker.load()


def _see_to_keys(seat: _Seat) -> None:
    for name in list(seat.unwanted):
        seat.worker.forget(name)
        seat.keys.pop(name, None)
        seat.unwanted.discard(name)


def _now() -> float:
    return time.monotonic()
