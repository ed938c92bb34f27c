"""The workers: each request gets one in its turn, is timed, and is tried once more where the worker is lost."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from cryptml_server.base.errors import EvaluationTooSlow, KeysUnreadable, TooBusy, WorkerLost
from cryptml_server.base.metrics import Metrics
from cryptml_server.base.models import Circuit
from cryptml_server.workers.durations import Durations
from cryptml_server.workers.protocol import EvaluationRequest, EvaluationResult, Worker
from cryptml_server.workers.quarantine import Quarantine
from cryptml_server.workers.queue import FairQueue
from cryptml_server.workers.slots import NEARLY_SECONDS, Standing, WorkerSlot, prefer, stop_evaluation, tend

T = TypeVar("T")

WATCH_SECONDS = 1.0
"""Between two looks for workers that died while nobody asked."""


class WorkerPool:
    """Several workers behind one queue; used from one event loop.

    Of several free workers, one that has the request's evaluation keys in memory is preferred; whose turn it is says `FairQueue`.

    Args:
        workers: One or more.
        cached_keys: Evaluation keys that each keeps in memory.
        waiting: Requests that may wait; more are told when to come back.
        metrics: Told what takes how long.
        quarantine: Remembers what workers died of; one of its own if None.
        watch_seconds: Between two looks for workers that died.
        nearly_seconds: That an evaluation which nobody wants any more gets to end by itself.
    """

    def __init__(
        self,
        workers: tuple[Worker, ...],
        *,
        cached_keys: int,
        waiting: int,
        metrics: Metrics | None = None,
        quarantine: Quarantine | None = None,
        watch_seconds: float = WATCH_SECONDS,
        nearly_seconds: float = NEARLY_SECONDS,
    ) -> None:
        self._metrics = metrics if metrics is not None else Metrics()
        self._slots = [WorkerSlot(worker) for worker in workers]
        self._free = list(self._slots)
        self._cached_keys = cached_keys
        self._queue = FairQueue(waiting, self._busy)
        self._durations = Durations()
        self._circuits: tuple[Circuit, ...] = ()
        self._quarantine = quarantine if quarantine is not None else Quarantine()
        self._watch_seconds, self._nearly_seconds = watch_seconds, nearly_seconds
        self._tending: TaskGroup | None = None
        self._limiter: anyio.CapacityLimiter | None = None

    async def start(self, circuits: tuple[Circuit, ...]) -> None:
        """Start all workers and let each load every circuit, so that a damaged one is found now.

        Raises:
            ServerError: If a circuit does not load; `watch` has it tried again.
        """
        self._circuits = circuits
        starting = (self._in_thread(partial(slot.worker.start, circuits)) for slot in self._slots)
        for found in await asyncio.gather(*starting, return_exceptions=True):  # all of them, before anything is asked
            if isinstance(found, BaseException):
                raise found

    async def stop(self) -> None:
        """End all workers, in the middle of evaluations too."""
        await asyncio.gather(*(asyncio.to_thread(slot.worker.stop) for slot in self._slots))

    @property
    def alive(self) -> bool:
        """Whether a worker process runs; one that died is started again by `watch`."""
        return any(slot.worker.alive for slot in self._slots)

    @property
    def standing(self) -> Standing:
        """What the workers can do now."""
        standing = [slot for slot in self._slots if slot.stands_by]
        broken = {circuit for slot in standing for circuit in slot.worker.loads.broken}
        return Standing(len(self._slots), len(standing), len(self._circuits), len(broken))

    @property
    def waiting(self) -> int:
        """Requests that wait for a worker; other threads may ask too."""
        return self._queue.waiting

    def forget(self, names: Iterable[str]) -> None:
        """Let workers drop deleted evaluation keys, each as soon as it is free."""
        gone = set(names)
        for slot in self._slots:
            slot.unwanted.update(name for name in gone if name in slot.keys)

    @property
    def remembered(self) -> set[str]:
        """Names of the evaluation keys that workers have in memory."""
        return {name for slot in self._slots for name in slot.keys}

    async def watch(self) -> None:
        """Tend free workers until cancelled.

        Those that died or hang while nobody asks are replaced, circuits that did not load are tried again, what is deleted is forgotten.
        """
        try:
            async with anyio.create_task_group() as self._tending:
                while True:
                    for slot in list(self._free):
                        if slot.wants_tending:
                            self._free.remove(slot)
                            self._tending.start_soon(self._tend, slot)
                    await asyncio.sleep(self._watch_seconds)
        finally:
            self._tending = None

    async def _tend(self, slot: WorkerSlot) -> None:
        try:
            await self._in_thread(partial(tend, slot))
        finally:
            self._free.append(slot)
            self._hand_out()

    async def check_keys(self, tenant: str, path: Path, name: str) -> None:
        """Deserialise uploaded keys, which proves them well formed and keeps them ready.

        Args:
            tenant: Whose request it is.
            path: Of the file.
            name: That the worker remembers them by.

        Raises:
            UnusableKeys: If they are malformed.
            TooManyLostWorkers: After too many that were lost.
            TooBusy: If too many wait.
        """
        self._quarantine.require_few_losses(tenant)
        async with self._slot(tenant, name) as slot:
            await self._timed(tenant, slot, lambda: slot.worker.check_keys(path, name))
            slot.note(name, self._cached_keys)

    async def evaluate(self, tenant: str, request: EvaluationRequest) -> EvaluationResult:
        """Evaluate a circuit on one ciphertext; where the worker is lost, once more. Cancelled, it stops the worker.

        Raises:
            UnusableCiphertext: If it does not fit.
            RequestQuarantined: If workers died of it.
            TooManyLostWorkers: After too many that were lost.
            Unavailable: If too many wait, two workers were lost or its keys went.
            EvaluationTooSlow: Past the deadline.
        """

        async def take() -> EvaluationRequest:
            if not request.keys.exists():  # deleted, or out of this machine's cache: who asks again finds out
                raise KeysUnreadable("the keys are not at hand any more; try again", retry_after=1)
            return request

        found = await self._evaluate(tenant, request.name, take, patient=False)
        if found is None:
            raise AssertionError("unreachable: there is a request")
        return found

    async def evaluate_next(
        self, tenant: str, keys: str, take: Callable[[], Awaitable[EvaluationRequest | None]]
    ) -> EvaluationResult | None:
        """Evaluate what is taken once a worker is free: what waits so is neither counted nor refused.

        Args:
            tenant: Whose turn it is.
            keys: What workers may remember the keys by that will be needed.
            take: Returns the request, or None where there is none any more.

        Raises:
            ServerError: As `evaluate`.
        """
        return await self._evaluate(tenant, keys, take, patient=True)

    async def _evaluate(
        self, tenant: str, keys: str, take: Callable[[], Awaitable[EvaluationRequest | None]], *, patient: bool
    ) -> EvaluationResult | None:
        self._quarantine.require_few_losses(tenant)
        request, mark, began = None, b"", time.monotonic()
        for last in (False, True):
            async with self._slot(tenant, keys, patient=patient) as slot:
                if request is None:
                    request = await take()
                    if request is None:
                        return None
                    mark = self._quarantine.mark(request.name, request.circuit.identity, request.ciphertext)
                    if not patient:  # else most of it was waiting for a job to come
                        self._metrics.stage("wait", request.circuit.model, time.monotonic() - began)
                action = partial(slot.worker.evaluate, request.circuit, request.keys, request.name, request.ciphertext)
                try:
                    found = await self._timed(tenant, slot, action)
                except WorkerLost as lost:
                    if not last:
                        continue
                    self._quarantine.add(mark)
                    lost.counts = True
                    raise
                slot.note(request.name, self._cached_keys)
                self._durations.evaluated(request.circuit.identity, found.evaluate_ms / 1000)
                self._metrics.evaluated(request.circuit, found.evaluate_ms / 1000)
                return found
        raise AssertionError("unreachable: the last attempt returns or raises")

    def seconds(self, circuit: str) -> float:
        """Return how long evaluations of a circuit took lately, by its identity; a guess where none was made."""
        return self._durations.of(circuit)

    async def _timed(self, tenant: str, slot: WorkerSlot, action: Callable[[], T]) -> T:
        """Run an action of a worker in a thread, and learn from the time that it took and from what came of it."""
        started = time.monotonic()
        running = asyncio.ensure_future(self._in_thread(action))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                if await stop_evaluation(running, slot, self._nearly_seconds):
                    self._quarantine.stopped(tenant)
            raise
        except (WorkerLost, EvaluationTooSlow):
            slot.forget_all()  # another process is in its place
            self._metrics.worker_lost()
            self._quarantine.lost(tenant)
            raise
        finally:
            self._durations.was_busy(time.monotonic() - started)

    async def _in_thread(self, action: Callable[[], T]) -> T:
        """Run in one of as many threads as there are workers: a thread more than those that the rest of the service shares."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(len(self._slots))
        return await anyio.to_thread.run_sync(action, limiter=self._limiter)

    @asynccontextmanager
    async def _slot(self, tenant: str, keys: str, *, patient: bool = False) -> AsyncIterator[WorkerSlot]:
        slot = await self._take(tenant, keys, patient=patient)
        try:
            yield slot
        finally:
            self._give_back(tenant, slot)

    def _give_back(self, tenant: str, slot: WorkerSlot) -> None:
        slot.busy = False
        self._queue.end(tenant)
        wanting = slot.unwanted or not slot.worker.loads.tried  # keys to forget, or another process to load circuits
        if wanting and self._tending is not None:  # before the next request: a busy worker would never be seen to
            self._tending.start_soon(self._tend, slot)
            return
        self._free.append(slot)
        self._hand_out()

    async def _take(self, tenant: str, keys: str, *, patient: bool) -> WorkerSlot:
        if not patient and self._queue.is_full and not self._ready():
            self._queue.make_room(tenant)
        entry = self._queue.join(tenant, keys, patient=patient)
        self._hand_out()
        try:
            return await entry.slot
        except asyncio.CancelledError:
            if entry.was_handed_out:  # in the same moment
                self._give_back(tenant, entry.slot.result())
            else:
                self._queue.leave(entry)
            raise

    def _busy(self) -> TooBusy:
        rounds = (self.waiting + 1) / len(self._slots)
        return TooBusy(
            f"{self.waiting} requests wait for {len(self._slots)} workers; try again later",
            retry_after=max(1, math.ceil(rounds * self._durations.busy)),
        )

    def _ready(self) -> list[WorkerSlot]:
        """Return the free slots that may be handed out: those whose worker has died only where none is left that has not."""
        alive = {slot for slot in self._slots if slot.worker.alive}
        return [slot for slot in self._free if slot in alive] if alive else list(self._free)

    def _hand_out(self) -> None:
        while self._queue and (ready := self._ready()):
            if (entry := self._queue.next()) is not None:
                slot = prefer(ready, entry.keys)
                self._free.remove(slot)
                slot.busy = True
                self._queue.begin(entry, slot)
