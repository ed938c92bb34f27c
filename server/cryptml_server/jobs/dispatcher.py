"""Brings jobs to workers: asks for a worker in the name of every tenant that has jobs, and takes the job up when it gets one."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import anyio
from anyio.abc import TaskGroup
from starlette.concurrency import run_in_threadpool

from cryptml_server.base.draining import Draining
from cryptml_server.base.errors import (
    InternalError,
    JobFailure,
    NotAuthenticated,
    ServerError,
    Unavailable,
    WorkerLost,
    WorkerOutOfMemory,
)
from cryptml_server.base.metrics import Metrics
from cryptml_server.base.models import ModelRegistry
from cryptml_server.database import DatabaseUnavailable
from cryptml_server.jobs.claims import MOST_BEGUN, JobClaims
from cryptml_server.jobs.replicas import BEAT_SECONDS, Replica
from cryptml_server.jobs.rows import Job
from cryptml_server.keys.store import EvaluationKeyStore, in_key_thread, keys_name
from cryptml_server.tenancy.tenants import TenantStore
from cryptml_server.workers.pool import WorkerPool
from cryptml_server.workers.protocol import EvaluationRequest, EvaluationResult

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DispatcherTimings:
    """Of a dispatcher, in seconds.

    Attributes:
        look: Between two looks for jobs that other replicas accepted, and for those at work here that were deleted.
        again: Until the next attempt, where the database is unavailable.
        put_off: For which a job waits that could not be evaluated for want of something else.
    """

    look: float = 1.0
    again: float = 1.0
    put_off: float = 5.0


USUAL_TIMINGS = DispatcherTimings()


@dataclass(eq=False)
class _Turn:
    """One wait for a worker in a tenant's name, and the job that it turned out to be for, under a claim of its own."""

    tenant: str
    claim: str = field(default_factory=lambda: secrets.token_hex(16))
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    job: Job | None = None
    written: bool = False


class Dispatcher:
    """Runs the jobs of all tenants on this replica's workers.

    A tenant with jobs waits for a worker as its other requests do, in turn with other tenants; which job it is for is decided when
    the worker is there, so nothing is begun that only waits.

    Args:
        claims: Which of the jobs run where.
        tenants: Whose they are.
        registry: The circuits of this replica.
        keys: Evaluation keys.
        pool: The workers.
        replica: This process.
        draining: Whether nothing new is to be begun.
        metrics: Told how jobs end.
        timings: What it waits for.
    """

    def __init__(
        self,
        claims: JobClaims,
        tenants: TenantStore,
        registry: ModelRegistry,
        keys: EvaluationKeyStore,
        pool: WorkerPool,
        replica: Replica,
        *,
        draining: Draining,
        metrics: Metrics,
        timings: DispatcherTimings = USUAL_TIMINGS,
    ) -> None:
        self._jobs = claims
        self._tenants = tenants
        self._circuits = {circuit.identity: circuit for circuit in registry.circuits}
        self._identities = frozenset(self._circuits)
        self._keys = keys
        self._pool = pool
        self._replica = replica
        self._draining = draining
        self._metrics = metrics
        self._timings = timings
        self._asking: dict[str, _Turn] = {}
        self._claims: dict[str, _Turn] = {}
        self._there = False
        self._warned = False
        self._news = asyncio.Event()
        self._ended = asyncio.Event()

    def wake(self) -> None:
        """Look for jobs now: one was submitted, or deleted."""
        self._news.set()

    async def until_ended(self, seconds: float) -> None:
        """Wait until some job ends here, or as long."""
        with anyio.move_on_after(seconds):
            await self._ended.wait()

    async def run(self) -> None:
        """Run jobs until cancelled; those at work then wait again, for the next service or another replica."""
        await self._go_on(self._say_there)  # before anything is begun in this replica's name
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._beat)
            while True:
                self._news.clear()
                await self._go_on(partial(self._look, tasks))
                with anyio.move_on_after(self._timings.look):
                    await self._news.wait()

    async def _go_on(self, action: Callable[[], Awaitable[None]]) -> None:
        """Do something that is done again anyway, whatever comes of it."""
        try:
            await action()
        except DatabaseUnavailable as error:
            _log.warning("jobs are not looked after: the database is unavailable (%s)", error)
        except Exception:  # noqa: BLE001 (nothing may end what looks after all jobs)
            _log.exception("jobs were not looked after")

    async def _look(self, tasks: TaskGroup) -> None:
        """Stop what is not to go on, and ask for workers for what waits."""
        await self._compare()
        if (
            self._draining.is_set() or not self._there
        ):  # what a replica takes up that no other knows of, others take too
            return
        for job in await run_in_threadpool(self._jobs.first, self._identities):
            if job.tenant not in self._asking:
                turn = self._asking[job.tenant] = _Turn(job.tenant)
                keys = keys_name(job.tenant, self._circuits[job.circuit], job.key_digest)
                tasks.start_soon(self._ask, turn, keys)

    async def _beat(self) -> None:
        while True:
            await anyio.sleep(BEAT_SECONDS)
            await self._go_on(self._say_there)

    async def _say_there(self) -> None:
        """Say that this replica is there, and take up what others left."""
        others = await run_in_threadpool(self._replica.beat)
        self._there = True
        if others and not self._keys.shared and not self._warned:
            self._warned = True
            _log.error("%d other services use this database, but no object_store: none sees the others' keys", others)
        taken = await run_in_threadpool(self._jobs.take_up)
        if taken:
            _log.warning("%d jobs of a replica that is gone wait again", taken)
            self.wake()

    async def _compare(self) -> None:
        """Compare what is at work here with what the database says is.

        What was deleted, or is another replica's, stops. A claim that no turn here has any more waits again: the database took it down,
        but could not say so.
        """
        before = [turn for turn in self._claims.values() if turn.job is not None]
        held = await run_in_threadpool(self._jobs.held, self._replica.id)
        for turn in before:
            if turn.claim not in held:
                turn.scope.cancel()
        strays = held - self._claims.keys()
        if strays and (again := await run_in_threadpool(self._jobs.release_unknown, strays)):
            _log.warning("%d jobs that were taken up unnoticed wait again", again)

    async def _ask(self, turn: _Turn, keys: str) -> None:
        """Wait for a worker in a tenant's name, let it evaluate the tenant's first job, and write how that ended."""
        try:
            with turn.scope, ExitStack() as working:
                await self._write(turn, await self._evaluate(turn, keys, working))
        finally:
            self._stop_asking(turn)
            ends = not (turn.written or turn.scope.cancel_called)  # the service does: another has the job, or the next
            if turn.job is not None and ends:
                with anyio.CancelScope(shield=True):
                    await run_in_threadpool(self._let_go, turn.job)
            self._claims.pop(turn.claim, None)

    async def _evaluate(self, turn: _Turn, keys: str, working: ExitStack) -> Callable[[Job], bool]:
        """Return what writes the end of a turn's job, or lets it wait again where trying again may help."""
        try:
            found = await self._pool.evaluate_next(turn.tenant, keys, partial(self._take, turn, working))
        except WorkerLost as lost:
            return partial(self._fail, lost)
        except (ServerError, DatabaseUnavailable) as problem:
            if turn.job is not None and isinstance(problem, ServerError) and not isinstance(problem, Unavailable):
                return partial(self._fail, problem)
            _log.warning("a job is put off: %s", problem)
            await anyio.sleep(self._timings.put_off)
            crowded = isinstance(problem, WorkerOutOfMemory)
            return partial(self._release, crowded)  # memory that never suffices is the job's fault, and has an end
        except Exception:  # noqa: BLE001 (what one job does must not end the others)
            _log.exception("a job failed in an unexpected way")
            return partial(self._fail, InternalError("the service failed; its log says why"))
        return partial(self._release, False) if found is None else partial(self._finish, found)

    async def _take(self, turn: _Turn, working: ExitStack) -> EvaluationRequest | None:
        """Take up the first job of a turn's tenant, now that a worker is there; None where there is none any more."""
        self._stop_asking(turn)
        if self._draining.is_set():
            return None
        self._claims[turn.claim] = turn
        try:
            found = await run_in_threadpool(
                self._jobs.claim, turn.tenant, self._identities, self._replica.id, turn.claim
            )
        except BaseException:
            del self._claims[turn.claim]  # should the database have taken it down all the same, it is nobody's
            raise
        if found is None:
            return None
        turn.job, ciphertext = found
        working.enter_context(self._draining.working())
        self.wake()  # the tenant's next job may ask for the next worker
        if turn.job.begun > MOST_BEGUN:
            raise JobFailure(f"the job was begun {MOST_BEGUN} times and never ended; make it anew")
        return await in_key_thread(self._request, turn.job, ciphertext)

    async def _write(self, turn: _Turn, write: Callable[[Job], bool]) -> None:
        """Write how a turn's job ended, however long the database is unavailable."""
        if turn.job is None:
            return
        had: bool | None = None
        while had is None:
            had = await self._attempt(partial(write, turn.job))
        turn.written = True
        if not had:
            _log.info("job %s was deleted, or taken up by another replica, while it was at work", turn.job.id)
        self._ended.set()
        self._ended = asyncio.Event()
        self.wake()  # one that waited for this one's end, by its tenant's bound, may be taken up

    async def _attempt(self, write: Callable[[], bool]) -> bool | None:
        """Return what writing returns; None, after a while, where the database does not take it."""
        try:
            return await run_in_threadpool(write)
        except DatabaseUnavailable as error:
            _log.warning("a job's end is not written yet: the database is unavailable (%s)", error)
        except Exception:  # noqa: BLE001 (what was evaluated must not be lost)
            _log.exception("a job's end is not written yet")
        await anyio.sleep(self._timings.again)
        return None

    def _stop_asking(self, turn: _Turn) -> None:
        if self._asking.get(turn.tenant) is turn:
            del self._asking[turn.tenant]

    def _request(self, job: Job, ciphertext: bytes) -> EvaluationRequest:
        circuit = self._circuits[job.circuit]
        tenant = self._tenants.by_id(job.tenant)
        if tenant is None:
            raise NotAuthenticated("the tenant was revoked")
        keys = self._keys.find(tenant, circuit, job.key_digest)
        return EvaluationRequest(circuit, keys.path, keys.name, ciphertext)

    def _finish(self, found: EvaluationResult, job: Job) -> bool:
        had = self._jobs.finish(job, found.ciphertext, found.evaluate_ms)
        self._metrics.job_finished("done" if had else "deleted")
        return had

    def _fail(self, problem: ServerError, job: Job) -> bool:
        had = self._jobs.fail(job, problem, self._circuits.get(job.circuit))
        self._metrics.job_finished("failed" if had else "deleted")
        return had

    def _release(self, begun: bool, job: Job) -> bool:
        return self._jobs.release(job, begun=begun)

    def _let_go(self, job: Job) -> None:
        try:
            self._release(False, job)
        except DatabaseUnavailable:
            _log.warning("job %s waits until it is noticed that this replica is gone", job.id)
