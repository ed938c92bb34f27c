"""The parts of a service for its settings, and what runs beside its requests."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import anyio
from starlette.concurrency import run_in_threadpool

from cryptml_server.base.draining import Draining
from cryptml_server.base.errors import ServerError
from cryptml_server.base.metrics import Metrics
from cryptml_server.base.models import ModelRegistry
from cryptml_server.base.served_bundles import drop_bundles, keep_bundles
from cryptml_server.base.settings import Settings
from cryptml_server.database import Database, DatabaseUnavailable
from cryptml_server.database.administration import open_database
from cryptml_server.http.routes.services import Services
from cryptml_server.jobs.claims import JobClaims
from cryptml_server.jobs.dispatcher import Dispatcher
from cryptml_server.jobs.replicas import Replica
from cryptml_server.jobs.service import JobService
from cryptml_server.jobs.store import JobStore
from cryptml_server.keys.files import KeyFiles
from cryptml_server.keys.service import KeyService
from cryptml_server.keys.store import EvaluationKeyStore
from cryptml_server.keys.uploads import UploadService
from cryptml_server.operations.observation import observe
from cryptml_server.operations.readiness import Readiness
from cryptml_server.tenancy.tenants import TenantStore
from cryptml_server.tenancy.usage import DAY, UsageMeter
from cryptml_server.workers.factory import create_workers
from cryptml_server.workers.pool import WorkerPool

SWEEP_SECONDS = 600.0
"""Between two looks for keys that nobody uses any more."""

FORGET_SECONDS = 15.0
"""Between two looks for keys in memory that another service has deleted."""

HOUR = 3600

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What a running service consists of."""

    registry: ModelRegistry
    files: KeyFiles
    database: Database
    tenants: TenantStore
    store: EvaluationKeyStore
    uploads: UploadService
    pool: WorkerPool
    jobs: JobStore
    replica: Replica
    dispatcher: Dispatcher
    metrics: Metrics
    draining: Draining

    @classmethod
    def of(cls, settings: Settings) -> Parts:
        """Make them; none runs yet.

        Raises:
            BundleError: If a bundle is damaged or a model is there twice.
            OSError: If the data folder cannot be written.
            SettingError: If the database or a cluster cannot be used.
        """
        ModelRegistry(settings.bundles)  # refused before anything is touched
        files = KeyFiles(
            settings.data / "evaluation-keys",
            object_store=settings.object_store,
            cache_bytes=settings.stored_key_bytes,
        )  # first: a second service in this folder stops here, before it touches the first one's database
        try:
            registry = ModelRegistry(keep_bundles(settings.bundles, settings.data))
            database = open_database(settings)
        except BaseException:
            files.close()
            raise
        tenants = TenantStore(database)
        store = EvaluationKeyStore(files, database, unused_seconds=settings.unused_key_days * DAY)
        metrics, draining = Metrics(), Draining()
        uploads = UploadService(
            files, database, limit=settings.stored_key_bytes, seconds=settings.upload_seconds, metrics=metrics
        )
        cached_keys = settings.cached_keys or max(2, registry.most_key_sets)
        workers = create_workers(settings, cached_keys)
        pool = WorkerPool(workers, cached_keys=cached_keys, waiting=settings.waiting_requests, metrics=metrics)
        jobs = JobStore(database, waiting=settings.waiting_jobs, kept_seconds=settings.job_hours * HOUR)
        replica = Replica(database, workers=settings.workers, alone=database.is_embedded)
        claims = JobClaims(database)
        dispatcher = Dispatcher(claims, tenants, registry, store, pool, replica, draining=draining, metrics=metrics)
        observe(metrics, workers, pool, jobs, database, draining)
        return cls(
            registry, files, database, tenants, store, uploads, pool, jobs, replica, dispatcher, metrics, draining
        )

    def services(self) -> Services:
        """Return what routes delegate to."""
        return Services(
            self.registry,
            KeyService(self.store, self.uploads, self.pool),
            self.pool,
            JobService(self.jobs, self.dispatcher, self.pool, self.draining),
            UsageMeter(self.database),
            self.metrics,
        )

    def readiness(self) -> Readiness:
        """Return what says whether they answer."""
        return Readiness(self.pool, self.database, self.draining)

    @asynccontextmanager
    async def running(self, settings: Settings) -> AsyncIterator[None]:
        """Run workers, jobs and what looks after them until the end of the block; then end and close everything."""
        circuits = frozenset(circuit.identity for circuit in self.registry.circuits)
        try:
            try:
                await self.pool.start(self.registry.circuits)
            except ServerError as error:  # the service stays up and says what is wrong to who asks
                _log.error("a worker did not load every circuit: %s", error.detail)
            with self.metrics.serving(settings.metrics_host, settings.metrics_port):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_sweep, self.store, self.jobs, circuits, self.pool)
                    tasks.start_soon(_forget, self.store, self.pool)
                    tasks.start_soon(self.pool.watch)
                    tasks.start_soon(self.dispatcher.run)
                    yield
                    tasks.cancel_scope.cancel()
        finally:
            await self.pool.stop()
            await run_in_threadpool(_leave, self.replica)
            await run_in_threadpool(self.database.close)
            await run_in_threadpool(drop_bundles, settings.data)
            self.files.close()


def _leave(replica: Replica) -> None:
    try:
        replica.leave()
    except DatabaseUnavailable:
        _log.warning("others will notice later that this replica is gone: the database is unavailable")


async def _sweep(store: EvaluationKeyStore, jobs: JobStore, circuits: frozenset[str], pool: WorkerPool) -> None:
    """Delete what nobody uses, now and from time to time, whatever stood in the way the last time."""
    while True:
        with _going_on("old jobs were not looked for"):
            await run_in_threadpool(jobs.sweep, circuits)
        with _going_on("unused evaluation keys were not looked for"):
            gone = await run_in_threadpool(store.sweep)
            pool.forget(gone)
            if gone:
                _log.info("%d unused evaluation keys were deleted", len(gone))
        await anyio.sleep(SWEEP_SECONDS)


async def _forget(store: EvaluationKeyStore, pool: WorkerPool) -> None:
    """Let workers forget keys that are stored no more, whoever deleted them."""
    while True:
        await anyio.sleep(FORGET_SECONDS)
        remembered = pool.remembered
        if remembered:
            with _going_on("deleted keys may stay in memory for a while"):
                pool.forget(await run_in_threadpool(store.deleted, remembered))


@contextmanager
def _going_on(else_: str) -> Iterator[None]:
    """Log what fails in something that is done again anyway: it must not end the service."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        _log.warning("%s (%s)", else_, type(error).__name__)
