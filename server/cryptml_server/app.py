"""The application: settings in, FastAPI out."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from cryptml import __version__
from cryptml_server.key_store import KeyStore
from cryptml_server.models import ModelRegistry
from cryptml_server.problems import Problem, add_problem_handlers
from cryptml_server.routes import create_router
from cryptml_server.settings import Settings
from cryptml_server.supervisor import Supervisor

_log = logging.getLogger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """Return the service for some settings; its worker starts with it and stops with it.

    Raises:
        BundleError: If a bundle is damaged or a model is there twice.
        OSError: If the data folder cannot be written.
    """
    registry = ModelRegistry(settings.bundles)
    store = KeyStore(settings.data / "evaluation-keys", settings.stored_key_bytes, settings.upload_seconds)
    supervisor = Supervisor(
        threads=settings.threads,
        cached_keys=settings.cached_keys or max(2, registry.most_key_sets),
        deadline_seconds=settings.evaluation_seconds,
        waiting=settings.waiting_requests,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            try:
                await run_in_threadpool(supervisor.start, registry.circuits)
            except Problem as problem:  # the service stays up and says what is wrong to who asks
                _log.error("the worker did not load every circuit: %s", problem.detail)
            yield
        finally:
            await run_in_threadpool(supervisor.stop)

    app = FastAPI(
        title="CRYPTML",
        version=__version__,
        summary="Evaluates server segments of split networks on ciphertexts",
        lifespan=lifespan,
    )
    app.state.models = tuple(sorted(registry.models))
    add_problem_handlers(app)
    app.include_router(create_router(registry, store, supervisor))
    return app
