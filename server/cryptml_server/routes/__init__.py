"""HTTP, version 1: one file a resource; endpoints translate requests, check sizes and names, and delegate."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Depends

from cryptml_server.authentication import SCHEME, current_tenant
from cryptml_server.key_store import KeyStore
from cryptml_server.models import ModelRegistry
from cryptml_server.openapi import problems
from cryptml_server.pool import WorkerPool
from cryptml_server.routes.evaluation_keys import evaluation_key_routes
from cryptml_server.routes.evaluations import evaluation_routes
from cryptml_server.routes.health import health_routes
from cryptml_server.routes.jobs import JobDesk, job_routes
from cryptml_server.routes.models import model_routes
from cryptml_server.uploads import UploadDesk
from cryptml_server.usage import UsageMeter


@dataclass(frozen=True)
class Services:
    """What the routes delegate to."""

    registry: ModelRegistry
    store: KeyStore
    uploads: UploadDesk
    pool: WorkerPool
    jobs: JobDesk
    meter: UsageMeter


def create_router(services: Services, body_seconds: float) -> APIRouter:
    """Return the routes below ``/v1``; all but those of health are for tenants alone."""
    registry, pool = services.registry, services.pool
    router = APIRouter(prefix="/v1")
    router.include_router(health_routes(pool))
    of_tenants = APIRouter(
        dependencies=[Depends(SCHEME), Depends(current_tenant)],
        responses=problems(
            s401="No token, or one of nobody.", s503="The service is busy, or cannot reach its records."
        ),
    )
    of_tenants.include_router(model_routes(registry))
    of_tenants.include_router(evaluation_key_routes(registry, services.store, services.uploads, pool))
    of_tenants.include_router(
        evaluation_routes(registry, services.store, pool, services.jobs, services.meter, body_seconds)
    )
    of_tenants.include_router(job_routes(services.jobs))
    router.include_router(of_tenants)
    return router
