"""Whether the service runs, for whoever watches it; no token is needed."""

from __future__ import annotations

from fastapi import APIRouter

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

    @router.get("/ready", responses=problems(s503="A worker is being started."))
    async def ready() -> dict[str, str]:
        """Say that the worker processes stand by."""
        if not pool.alive:
            raise Problem(503, "Not ready", "a worker is being started; try again", retry_after=2)
        return {"status": "ready"}

    return router
