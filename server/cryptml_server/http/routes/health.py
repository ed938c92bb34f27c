"""Whether the service runs, for whoever watches it; no token is needed."""

from __future__ import annotations

from fastapi import APIRouter

from cryptml_server.http.openapi import problems
from cryptml_server.operations.readiness import Readiness


def health_routes(readiness: Readiness) -> APIRouter:
    """Return the routes below ``/health``."""
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live")
    async def live() -> dict[str, str]:
        """Say that the process answers."""
        return {"status": "live"}

    @router.get(
        "/ready",
        responses=problems(
            s503="No worker stands by, a circuit did not load or the database does not answer, as checks says part by part; or the "
            "service is about to end."
        ),
    )
    async def ready() -> dict[str, str]:
        """Say that a worker answers, every circuit is loaded, the database can be written and the service is not about to end."""
        await readiness.require()
        return {"status": "ready"}

    return router
