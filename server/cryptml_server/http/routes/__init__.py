"""HTTP, version 1: one file a resource; endpoints translate requests, check sizes and names, and delegate."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from cryptml_server.http.authentication import SCHEME, current_tenant
from cryptml_server.http.openapi import problems
from cryptml_server.http.routes.evaluation_keys import evaluation_key_routes
from cryptml_server.http.routes.evaluations import evaluation_routes
from cryptml_server.http.routes.health import health_routes
from cryptml_server.http.routes.jobs import job_routes
from cryptml_server.http.routes.models import model_routes
from cryptml_server.http.routes.services import Services
from cryptml_server.operations.readiness import Readiness


def create_router(services: Services, readiness: Readiness, body_seconds: float) -> APIRouter:
    """Return the routes below ``/v1``; all but those of health are for tenants alone."""
    router = APIRouter(prefix="/v1")
    router.include_router(health_routes(readiness))
    of_tenants = APIRouter(
        dependencies=[Depends(SCHEME), Depends(current_tenant)],
        responses=problems(
            s401="No token, or one that no tenant has.", s503="The service is busy, or cannot reach its records."
        ),
    )
    of_tenants.include_router(model_routes(services.registry))
    of_tenants.include_router(evaluation_key_routes(services))
    of_tenants.include_router(evaluation_routes(services, body_seconds))
    of_tenants.include_router(job_routes(services.jobs))
    router.include_router(of_tenants)
    return router
