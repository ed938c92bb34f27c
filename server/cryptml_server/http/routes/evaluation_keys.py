"""Evaluation keys: uploaded once, whole or in parts, found by their digest, deleted for good; a tenant's own, whatever others have."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

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
from cryptml_server.keys.service import KeyUpload, Receipt

STORED_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["sha256", "segment"],
    "properties": {"sha256": {"type": "string"}, "segment": {"type": "integer"}},
}
STORED = {"content": {"application/json": {"schema": STORED_SCHEMA}}}
FOUND = problems(s404="The tenant has not stored them.", s422="The request breaks the interface.")
REFUSED = problems(
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
RECEIVED: dict[int | str, dict[str, Any]] = {
    200: {"description": "They were stored before.", **STORED},
    201: {"description": "They are stored.", **STORED},
    **REFUSED,
}
PART_RECEIVED: dict[int | str, dict[str, Any]] = {
    200: {"description": "They were stored before.", **STORED},
    201: {"description": "All parts are there, and the keys are stored.", **STORED},
    204: {
        "description": "The part is there; Upload-Offset says how many bytes are, all together.",
        "headers": {"Upload-Offset": {"required": True, "schema": {"type": "integer", "minimum": 0}}},
    },
    **REFUSED,
}


def evaluation_key_routes(services: Services) -> APIRouter:
    """Return the routes below ``/models/{model}/evaluation-keys``."""
    router = APIRouter(prefix="/models/{model}/evaluation-keys", tags=["evaluation keys"])
    _add_uploads(router, services)
    _add_stored(router, services)
    return router


def _add_uploads(router: APIRouter, services: Services) -> None:
    registry, keys = services.registry, services.keys

    @router.put(
        "/{digest}",
        status_code=201,
        openapi_extra=takes_octets("Concrete's serialised evaluation keys."),
        responses=RECEIVED,
    )
    async def put_keys(
        model: ModelName,
        digest: Digest,
        segment: SegmentQuery,
        circuit_header: CircuitHeader,
        request: Request,
        tenant: CurrentTenant,
    ) -> Response:
        """Store evaluation keys for a segment and those that share them; their digest is the address: repeat it safely."""
        circuit = circuit_of(registry, model, segment, circuit_header)
        check_length(request, circuit.key_bytes, "evaluation keys")
        upload = KeyUpload(digest, request.stream(), announced_length(request))
        return _answer(await keys.receive(tenant, circuit, upload), digest, segment)

    @router.patch(
        "/{digest}",
        status_code=204,
        openapi_extra=takes_octets("The next part of Concrete's serialised evaluation keys."),
        responses=PART_RECEIVED,
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
        upload = KeyUpload(digest, request.stream(), announced_length(request), offset, length)
        return _answer(await keys.receive(tenant, circuit, upload), digest, segment)


def _add_stored(router: APIRouter, services: Services) -> None:
    registry, keys = services.registry, services.keys

    @router.head("/{digest}", response_class=Response, responses={200: {"description": "They are stored."}, **FOUND})
    async def head_keys(model: ModelName, digest: Digest, segment: SegmentQuery, tenant: CurrentTenant) -> Response:
        """Say whether evaluation keys are stored, and if not, in Upload-Offset, how much of them is there."""
        await keys.require(tenant, registry.find(model).circuit(segment), digest)
        return Response(status_code=200)

    @router.delete("/{digest}", status_code=204, responses=FOUND)
    async def delete_keys(model: ModelName, digest: Digest, segment: SegmentQuery, tenant: CurrentTenant) -> Response:
        """Delete stored evaluation keys, and what is there of an unfinished upload."""
        await keys.delete(tenant, registry.find(model).circuit(segment), digest)
        return Response(status_code=204)


def _answer(receipt: Receipt, digest: str, segment: int) -> Response:
    if not receipt.stored:
        return Response(status_code=204, headers={"Upload-Offset": str(receipt.offset)})
    return JSONResponse({"sha256": digest, "segment": segment}, status_code=201 if receipt.new else 200)
