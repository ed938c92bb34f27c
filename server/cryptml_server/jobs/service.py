"""What a request may do with jobs: have one run, wait for its end, ask where it stands."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from cryptml_server.base.draining import Draining
from cryptml_server.base.errors import TooBusy
from cryptml_server.base.models import Circuit
from cryptml_server.database import DatabaseUnavailable
from cryptml_server.jobs.dispatcher import Dispatcher
from cryptml_server.jobs.rows import WAITING, Job
from cryptml_server.jobs.store import JobStore
from cryptml_server.tenancy.tenants import Tenant
from cryptml_server.workers.pool import WorkerPool

MOST_WATCHED_EACH = 64
"""Requests of one tenant that wait for jobs to end; further ones are answered at once, and ask again."""

MOST_WATCHED = 256
"""The same of all tenants, so that connections are left for others."""

LOOK_SECONDS = 1.0
"""Between two looks for an end that another replica brought about."""


@dataclass(frozen=True)
class JobOutlook:
    """How long a job that has not ended will probably take.

    Attributes:
        ahead: Jobs that begin before it, if tenants take turns, while it waits; None otherwise.
        seconds: Until it is done; None where it has ended, or nothing is known.
    """

    ahead: int | None = None
    seconds: float | None = None


class JobService:
    """The store of jobs, who runs them, and how long that takes.

    Args:
        store: All jobs.
        dispatcher: Runs them.
        pool: Knows how long evaluations take.
        draining: Whether nobody is to be kept waiting.
    """

    def __init__(self, store: JobStore, dispatcher: Dispatcher, pool: WorkerPool, draining: Draining) -> None:
        self._draining = draining
        self._watched: Counter[str] = Counter()
        self.store = store
        self.dispatcher = dispatcher
        self._pool = pool

    async def submit(
        self, tenant: Tenant, circuit: Circuit, keys: str, ciphertext: bytes, idempotency_key: str | None
    ) -> Job:
        """Write a job, and have it run; see `JobStore.submit`. Who is told to come back is told when one more has probably ended."""
        try:
            job, _ = await run_in_threadpool(self.store.submit, tenant, circuit, keys, ciphertext, idempotency_key)
        except TooBusy as busy:
            busy.retry_after = math.ceil(self._pool.seconds(circuit.identity)) + 1
            raise
        self.dispatcher.wake()
        return job

    async def watch(self, tenant: Tenant, name: str, seconds: float) -> Job:
        """Return a job when it ended, or after a while; at once where many of the tenant's requests wait like this.

        Raises:
            UnknownJob: If the tenant has none of that name.
        """
        found = await run_in_threadpool(self.store.find, tenant, name)
        if self._watched[tenant.id] >= MOST_WATCHED_EACH or self._watched.total() >= MOST_WATCHED:
            return found
        self._watched[tenant.id] += 1
        try:
            until = time.monotonic() + seconds
            while not (found.ended or self._draining.is_set()) and (left := until - time.monotonic()) > 0:
                await self.dispatcher.until_ended(min(left, LOOK_SECONDS))
                found = await run_in_threadpool(self.store.find, tenant, name)
        finally:
            self._watched[tenant.id] -= 1
            if not self._watched[tenant.id]:
                del self._watched[tenant.id]
        return found

    async def outlook(self, job: Job) -> JobOutlook:
        """Return how long a job will probably take, by what lately took how long."""
        if job.ended:
            return JobOutlook()
        seconds = self._pool.seconds(job.circuit)
        if job.state != WAITING:
            return JobOutlook(seconds=seconds)
        place = await run_in_threadpool(self.store.place, job)
        return JobOutlook(place.ahead, seconds * (1 + (place.ahead + 1) / place.workers))

    async def outlook_if_known(self, job: Job) -> JobOutlook:
        """The same; nothing of a job that was accepted where the database has gone since."""
        try:
            return await self.outlook(job)
        except DatabaseUnavailable:
            return JobOutlook()
