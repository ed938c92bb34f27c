"""The application: settings in, FastAPI out."""

from __future__ import annotations

from fastapi import Depends, FastAPI

from cryptml import __version__
from cryptml_server.base.draining import refuse_while_draining
from cryptml_server.base.settings import Settings
from cryptml_server.http.authentication import no_authentication, token_authentication
from cryptml_server.http.logs import RequestLog
from cryptml_server.http.problems import add_problem_handlers
from cryptml_server.http.routes import create_router
from cryptml_server.parts import Parts


def create_app(settings: Settings) -> FastAPI:
    """Return the service for some settings; its workers start with it and stop with it.

    Raises:
        BundleError: If a bundle is damaged or a model is there twice.
        OSError: If the data folder cannot be written.
        SettingError: If the database cannot be used, or its tables are of another version; or if workers are to run on a Ray cluster
            that cannot be joined.
    """
    parts = Parts.of(settings)
    app = FastAPI(
        title="CRYPTML",
        version=__version__,
        summary="Evaluates server segments of split networks on ciphertexts",
        lifespan=lambda _: parts.running(settings),
        redirect_slashes=False,  # it would send clients to whatever host they were made to name
    )
    authentication = no_authentication if settings.insecure_anonymous else token_authentication
    app.state.authenticate = authentication(parts.tenants)
    app.state.metrics = parts.metrics
    app.state.draining = parts.draining
    app.state.stop_workers = parts.pool.stop
    app.state.models = tuple(sorted(parts.registry.models))
    add_problem_handlers(app)
    app.add_middleware(RequestLog, metrics=parts.metrics)
    router = create_router(parts.services(), parts.readiness(), settings.upload_seconds)
    app.include_router(router, dependencies=[Depends(refuse_while_draining)])
    return app
