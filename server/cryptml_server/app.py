"""The application: settings in, FastAPI out."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
from fastapi import Depends, FastAPI
from starlette.concurrency import run_in_threadpool

from cryptml import __version__
from cryptml.errors import SettingError
from cryptml_server.base.draining import Draining, refuse_while_draining
from cryptml_server.base.errors import ServerError
from cryptml_server.base.metrics import Metrics
from cryptml_server.base.models import ModelRegistry
from cryptml_server.base.settings import Settings
from cryptml_server.database import Database, DatabaseUnavailable
from cryptml_server.http.authentication import no_authentication, token_authentication
from cryptml_server.http.logs import RequestLog
from cryptml_server.http.problems import add_problem_handlers
from cryptml_server.http.routes import create_router
from cryptml_server.http.routes.services import Services
from cryptml_server.jobs.claims import JobClaims
from cryptml_server.jobs.dispatcher import Dispatcher
from cryptml_server.jobs.replicas import Replica
from cryptml_server.jobs.service import JobService
from cryptml_server.jobs.store import JobStore
from cryptml_server.keys.files import KeyFiles
from cryptml_server.keys.service import KeyService
from cryptml_server.keys.store import KeyStore
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


def create_app(settings: Settings) -> FastAPI:
    """Return the service for some settings; its workers start with it and stop with it.

    Raises:
        BundleError: If a bundle is damaged or a model is there twice.
        OSError: If the data folder cannot be written.
        SettingError: If the database cannot be used, or its tables are of another version; or if workers are to run on a Ray cluster
            that cannot be joined.
    """
    registry = ModelRegistry(settings.bundles)
    files = KeyFiles(
        settings.data / "evaluation-keys",
        object_store=settings.object_store,
        cache_bytes=settings.stored_key_bytes,
    )  # first: a second service in this folder stops here, before it touches the first one's database
    try:
        database = open_database(settings)
    except BaseException:
        files.close()
        raise
    tenants = TenantStore(database)
    store = KeyStore(files, database, unused_seconds=settings.unused_key_days * DAY)
    metrics, draining = Metrics(), Draining()
    uploads = UploadService(
        files, database, limit=settings.stored_key_bytes, seconds=settings.upload_seconds, metrics=metrics
    )
    cached_keys = settings.cached_keys or max(2, registry.most_key_sets)
    workers = create_workers(settings, cached_keys)
    pool = WorkerPool(workers, cached_keys=cached_keys, waiting=settings.waiting_requests, metrics=metrics)
    jobs = JobStore(database, waiting=settings.waiting_jobs, kept_seconds=settings.job_hours * HOUR)
    replica = Replica(database, workers=settings.workers, alone=database.is_embedded)
    dispatcher = Dispatcher(
        JobClaims(database), tenants, registry, store, pool, replica, draining=draining, metrics=metrics
    )
    observe(metrics, workers, pool, jobs, database, draining)

    circuits = frozenset(circuit.identity for circuit in registry.circuits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            try:
                await pool.start(registry.circuits)
            except ServerError as problem:  # the service stays up and says what is wrong to who asks
                _log.error("a worker did not load every circuit: %s", problem.detail)
            with metrics.serving(settings.metrics_host, settings.metrics_port):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_sweep, store, jobs, circuits, pool)
                    tasks.start_soon(_forget, store, pool)
                    tasks.start_soon(pool.watch)
                    tasks.start_soon(dispatcher.run)
                    yield
                    tasks.cancel_scope.cancel()
        finally:
            await pool.stop()
            await run_in_threadpool(_leave, replica)
            await run_in_threadpool(database.close)
            files.close()

    authenticate = no_authentication(tenants) if settings.insecure_anonymous else token_authentication(tenants)
    app = FastAPI(
        title="CRYPTML",
        version=__version__,
        summary="Evaluates server segments of split networks on ciphertexts",
        lifespan=lifespan,
        redirect_slashes=False,  # it would send clients to whatever host they were made to name
    )
    app.state.authenticate = authenticate
    app.state.metrics = metrics
    app.state.draining = draining
    app.state.stop_workers = pool.stop
    app.state.models = tuple(sorted(registry.models))
    add_problem_handlers(app)
    services = Services(
        registry,
        KeyService(store, uploads, pool),
        pool,
        JobService(jobs, dispatcher, pool, draining),
        UsageMeter(database),
        metrics,
    )
    readiness = Readiness(pool, database, draining)
    app.add_middleware(RequestLog, metrics=metrics)
    app.include_router(
        create_router(services, readiness, settings.upload_seconds), dependencies=[Depends(refuse_while_draining)]
    )
    return app


def open_database(settings: Settings) -> Database:
    """Return the service's database: an embedded one brought to this version's form, any other found in it.

    Raises:
        SettingError: If it cannot be used, or its tables are of another version.
    """
    database = Database(settings.database_url)
    try:
        if database.is_embedded:
            database.upgrade()
        else:
            database.require_current()
    except DatabaseUnavailable as error:
        raise SettingError(
            "the database does not answer, or cannot be written; check its address, that it runs and that there is room"
        ) from error
    return database


def _leave(replica: Replica) -> None:
    try:
        replica.leave()
    except DatabaseUnavailable:
        _log.warning("others will notice later that this replica is gone: the database is unavailable")


async def _sweep(store: KeyStore, jobs: JobStore, circuits: frozenset[str], pool: WorkerPool) -> None:
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


async def _forget(store: KeyStore, pool: WorkerPool) -> None:
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
