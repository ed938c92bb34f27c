"""Evaluation keys: uploaded once, found by their digest, deleted for good; a tenant's own, whatever others have."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from cryptml_server.authentication import CurrentTenant
from cryptml_server.key_store import KeyStore
from cryptml_server.models import ModelRegistry
from cryptml_server.pool import WorkerPool
from cryptml_server.routes.parameters import (
    CircuitHeader,
    Digest,
    ModelName,
    SegmentQuery,
    check_length,
    circuit_of,
    key_name,
)


def evaluation_key_routes(registry: ModelRegistry, store: KeyStore, pool: WorkerPool) -> APIRouter:
    """Return the routes below ``/models/{model}/evaluation-keys``."""
    router = APIRouter(prefix="/models/{model}/evaluation-keys", tags=["evaluation keys"])

    @router.put("/{digest}", status_code=201)
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
        upload = await store.receive(tenant, circuit, digest, request.stream())
        try:
            await pool.check_keys(tenant.id, upload, key_name(tenant, circuit, digest))
            await run_in_threadpool(store.keep, tenant, circuit, digest, upload)
        finally:
            upload.unlink(missing_ok=True)
        return JSONResponse({"sha256": digest, "segment": segment}, status_code=201)

    @router.head("/{digest}")
    async def head_keys(model: ModelName, digest: Digest, segment: SegmentQuery, tenant: CurrentTenant) -> Response:
        """Say whether evaluation keys are stored."""
        await run_in_threadpool(store.find, tenant, registry.find(model).circuit(segment), digest)
        return Response(status_code=200)

    @router.delete("/{digest}", status_code=204)
    async def delete_keys(model: ModelName, digest: Digest, segment: SegmentQuery, tenant: CurrentTenant) -> Response:
        """Delete stored evaluation keys."""
        await run_in_threadpool(store.delete, tenant, registry.find(model).circuit(segment), digest)
        return Response(status_code=204)

    return router
