"""The application: settings in, FastAPI out."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from cryptml import __version__
from cryptml.errors import SettingError
from cryptml_server.authentication import no_authentication, token_authentication
from cryptml_server.database import Database, DatabaseUnavailable
from cryptml_server.key_store import KeyStore
from cryptml_server.models import ModelRegistry
from cryptml_server.pool import WorkerPool
from cryptml_server.problems import Problem, add_problem_handlers
from cryptml_server.routes import create_router
from cryptml_server.settings import Settings
from cryptml_server.tenants import TenantStore
from cryptml_server.usage import DAY, UsageMeter
from cryptml_server.workers import create_workers

SWEEP_SECONDS = 600.0
"""Between two looks for keys that nobody uses any more."""

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
    database = open_database(settings)
    tenants = TenantStore(database)
    store = KeyStore(
        settings.data / "evaluation-keys",
        database,
        limit=settings.stored_key_bytes,
        upload_seconds=settings.upload_seconds,
        unused_seconds=settings.unused_key_days * DAY,
    )
    cached_keys = settings.cached_keys or max(2, registry.most_key_sets)
    pool = WorkerPool(
        create_workers(settings, cached_keys),
        cached_keys=cached_keys,
        waiting=settings.waiting_requests,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            try:
                await pool.start(registry.circuits)
            except Problem as problem:  # the service stays up and says what is wrong to who asks
                _log.error("a worker did not load every circuit: %s", problem.detail)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_sweep, store, pool)
                tasks.start_soon(pool.watch)
                yield
                tasks.cancel_scope.cancel()
        finally:
            await pool.stop()
            await run_in_threadpool(database.close)
            store.close()

    authenticate = no_authentication(tenants) if settings.insecure_anonymous else token_authentication(tenants)
    app = FastAPI(
        title="CRYPTML",
        version=__version__,
        summary="Evaluates server segments of split networks on ciphertexts",
        lifespan=lifespan,
    )
    app.state.authenticate = authenticate
    app.state.models = tuple(sorted(registry.models))
    add_problem_handlers(app)
    app.include_router(create_router(registry, store, pool, UsageMeter(database), settings.upload_seconds))
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


async def _sweep(store: KeyStore, pool: WorkerPool) -> None:
    """Delete what nobody uses, now and from time to time, whatever stood in the way the last time."""
    while True:
        try:
            gone = await run_in_threadpool(store.sweep)
        except Exception as error:  # noqa: BLE001 (the service goes on without)
            _log.warning("unused evaluation keys were not looked for (%s)", type(error).__name__)
        else:
            pool.forget(gone)
            if gone:
                _log.info("%d unused evaluation keys were deleted", len(gone))
        await anyio.sleep(SWEEP_SECONDS)
