"""Evaluation keys: uploaded once, found by their digest, deleted for good; a tenant's own, whatever others have."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from cryptml_server.authentication import CurrentTenant
from cryptml_server.key_store import KeyStore
from cryptml_server.models import ModelRegistry
from cryptml_server.openapi import problems, takes_octets
from cryptml_server.pool import WorkerPool
from cryptml_server.routes.parameters import (
    CircuitHeader,
    Digest,
    ModelName,
    SegmentQuery,
    check_length,
    circuit_of,
)


def evaluation_key_routes(registry: ModelRegistry, store: KeyStore, pool: WorkerPool) -> APIRouter:
    """Return the routes below ``/models/{model}/evaluation-keys``."""
    router = APIRouter(prefix="/models/{model}/evaluation-keys", tags=["evaluation keys"])
    found = problems(s404="The tenant has not stored them.", s422="The request breaks the interface.")

    @router.put(
        "/{digest}",
        status_code=201,
        openapi_extra=takes_octets("Concrete's serialised evaluation keys."),
        responses={
            200: {"description": "They were stored before."},
            **problems(
                s403="The tenant's quota of keys is used up.",
                s404="No such model or segment.",
                s408="The upload took too long.",
                s409="The keys are of another circuit.",
                s413="The body is longer than the segment's keys.",
                s422="The keys are malformed, too short, or not those of the address; or the request breaks the interface.",
                s429="Too many workers were lost in the tenant's requests; Retry-After says when to come back.",
                s503="Too many requests or uploads; Retry-After says when to come back.",
                s504="Checking the keys took too long.",
                s507="The service has no room for them.",
            ),
        },
    )
    async def put_keys(
        model: ModelName,
        digest: Digest,
        segment: SegmentQuery,
        circuit_header: CircuitHeader,
        request: Request,
        tenant: CurrentTenant,
    ) -> JSONResponse:
        """Store evaluation keys for a segment and those that share them; their digest is the address: repeat it safely."""
        circuit = circuit_of(registry, model, segment, circuit_header)
        check_length(request, circuit.key_bytes, "evaluation keys")
        if await run_in_threadpool(store.holds, tenant, circuit, digest):
            return JSONResponse({"sha256": digest, "segment": segment}, status_code=200)
        async with store.receiving(tenant, circuit, digest, request.stream()) as upload:
            await pool.check_keys(tenant.id, upload.path, upload.name)
            await run_in_threadpool(store.keep, tenant, circuit, digest, upload)
        return JSONResponse({"sha256": digest, "segment": segment}, status_code=201)

    @router.head("/{digest}", responses=found)
    async def head_keys(model: ModelName, digest: Digest, segment: SegmentQuery, tenant: CurrentTenant) -> Response:
        """Say whether evaluation keys are stored."""
        await run_in_threadpool(store.find, tenant, registry.find(model).circuit(segment), digest)
        return Response(status_code=200)

    @router.delete("/{digest}", status_code=204, responses=found)
    async def delete_keys(model: ModelName, digest: Digest, segment: SegmentQuery, tenant: CurrentTenant) -> Response:
        """Delete stored evaluation keys."""
        name = await run_in_threadpool(store.delete, tenant, registry.find(model).circuit(segment), digest)
        pool.forget([name])
        return Response(status_code=204)

    return router
