"""Evaluation keys: uploaded once, whole or in parts, found by their digest, deleted for good; a tenant's own, whatever others have."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from cryptml_server.base.models import Circuit
from cryptml_server.base.problems import Problem
from cryptml_server.http.authentication import CurrentTenant
from cryptml_server.http.openapi import problems, takes_octets
from cryptml_server.http.routes.parameters import (
    CircuitHeader,
    Digest,
    ModelName,
    SegmentQuery,
    UploadLength,
    UploadOffset,
    announced_length,
    check_length,
    circuit_of,
)
from cryptml_server.http.routes.services import Services
from cryptml_server.keys.store import in_key_thread, keys_name
from cryptml_server.tenancy.tenants import Tenant

STORED_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["sha256", "segment"],
    "properties": {"sha256": {"type": "string"}, "segment": {"type": "integer"}},
}


NOT_FOUND = 404


def evaluation_key_routes(services: Services) -> APIRouter:
    """Return the routes below ``/models/{model}/evaluation-keys``."""
    registry, store, uploads, pool = services.registry, services.store, services.uploads, services.pool
    router = APIRouter(prefix="/models/{model}/evaluation-keys", tags=["evaluation keys"])
    stored = {"content": {"application/json": {"schema": STORED_SCHEMA}}}
    found = problems(s404="The tenant has not stored them.", s422="The request breaks the interface.")

    refused = problems(
        s403="The tenant's quota of keys is used up.",
        s404="No such model or segment.",
        s408="The upload took too long.",
        s409="The keys are of another circuit, or the part does not begin where the last one ended.",
        s413="The body is longer than the segment's keys.",
        s422="The keys are malformed, too short, or not those of the address; or the request breaks the interface.",
        s429="Uploads of this day, or unfinished ones, are used up, or too many workers were lost; Retry-After says when to come back.",
        s503="Too many requests or uploads; Retry-After says when to come back.",
        s504="Checking the keys took too long.",
        s507="The service has no room for them.",
    )

    @router.put(
        "/{digest}",
        status_code=201,
        openapi_extra=takes_octets("Concrete's serialised evaluation keys."),
        responses={
            200: {"description": "They were stored before.", **stored},
            201: {"description": "They are stored.", **stored},
            **refused,
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
        if await in_key_thread(store.holds, tenant, circuit, digest):
            return JSONResponse({"sha256": digest, "segment": segment}, status_code=200)
        async with uploads.whole(
            tenant, circuit, digest, request.stream(), announced=announced_length(request)
        ) as upload:
            await keep(tenant, circuit, digest, upload)
        return JSONResponse({"sha256": digest, "segment": segment}, status_code=201)

    async def keep(tenant: Tenant, circuit: Circuit, digest: str, upload: FilePath) -> None:
        await pool.check_keys(tenant.id, upload, keys_name(tenant.id, circuit, digest))
        await in_key_thread(store.keep, tenant, circuit, digest, upload)

    @router.patch(
        "/{digest}",
        status_code=204,
        openapi_extra=takes_octets("The next part of Concrete's serialised evaluation keys."),
        responses={
            200: {"description": "They were stored before.", **stored},
            201: {"description": "All parts are there, and the keys are stored.", **stored},
            204: {
                "description": "The part is there; Upload-Offset says how many bytes are, all together.",
                "headers": {"Upload-Offset": {"required": True, "schema": {"type": "integer", "minimum": 0}}},
            },
            **refused,
        },
    )
    async def patch_keys(
        model: ModelName,
        digest: Digest,
        segment: SegmentQuery,
        circuit_header: CircuitHeader,
        offset: UploadOffset,
        length: UploadLength,
        request: Request,
        tenant: CurrentTenant,
    ) -> Response:
        """Store evaluation keys in parts, each behind the last; HEAD says in Upload-Offset where to go on."""
        circuit = circuit_of(registry, model, segment, circuit_header)
        check_length(request, (0, max(0, length - offset)), "the part")
        answer = JSONResponse({"sha256": digest, "segment": segment}, status_code=201)
        if await in_key_thread(store.holds, tenant, circuit, digest):
            answer.status_code = 200
            return answer
        body = request.stream()
        announced = announced_length(request)
        receiving = uploads.part(tenant, circuit, digest, body, offset=offset, length=length, announced=announced)
        async with receiving as (upload, there):
            if there < length:
                return Response(status_code=204, headers={"Upload-Offset": str(there)})
            await keep(tenant, circuit, digest, upload)
        return answer

    @router.head("/{digest}", response_class=Response, responses={200: {"description": "They are stored."}, **found})
    async def head_keys(model: ModelName, digest: Digest, segment: SegmentQuery, tenant: CurrentTenant) -> Response:
        """Say whether evaluation keys are stored, and if not, in Upload-Offset, how much of them is there."""
        circuit = registry.find(model).circuit(segment)
        if await in_key_thread(store.holds, tenant, circuit, digest):
            return Response(status_code=200)
        there = await run_in_threadpool(uploads.offset, tenant, circuit, digest)
        raise Problem(404, "Unknown evaluation keys", "they are not stored", headers={"Upload-Offset": str(there)})

    @router.delete("/{digest}", status_code=204, responses=found)
    async def delete_keys(model: ModelName, digest: Digest, segment: SegmentQuery, tenant: CurrentTenant) -> Response:
        """Delete stored evaluation keys, and what is there of an unfinished upload."""
        circuit = registry.find(model).circuit(segment)
        discarded = await run_in_threadpool(uploads.discard, tenant, circuit, digest)
        try:
            pool.forget([await in_key_thread(store.delete, tenant, circuit, digest)])
        except Problem as problem:
            if problem.status != NOT_FOUND or not discarded:
                raise
        return Response(status_code=204)

    return router
