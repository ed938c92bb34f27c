"""Whether the service runs, for whoever watches it; no token is needed."""

from __future__ import annotations

from fastapi import APIRouter, Request

from cryptml_server.draining import Draining
from cryptml_server.openapi import problems
from cryptml_server.pool import WorkerPool
from cryptml_server.problems import Problem


def health_routes(pool: WorkerPool) -> APIRouter:
    """Return the routes below ``/health``."""
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live")
    async def live() -> dict[str, str]:
        """Say that the process answers."""
        return {"status": "live"}

    @router.get("/ready", responses=problems(s503="A worker is being started, or the service is about to end."))
    async def ready(request: Request) -> dict[str, str]:
        """Say that the worker processes stand by, and that the service is not about to end."""
        draining: Draining = request.app.state.draining
        if draining.is_set():
            raise draining.refusal()
        if not pool.alive:
            raise Problem(503, "Not ready", "a worker is being started; try again", retry_after=2)
        return {"status": "ready"}

    return router
