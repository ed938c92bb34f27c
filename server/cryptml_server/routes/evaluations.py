"""Evaluations: an encrypted input in, an encrypted output out."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from cryptml_server.authentication import CurrentTenant
from cryptml_server.key_store import KeyStore
from cryptml_server.models import ModelRegistry
from cryptml_server.openapi import OCTETS, octets, problems, takes_octets
from cryptml_server.pool import WorkerPool
from cryptml_server.routes.parameters import (
    CircuitHeader,
    KeysHeader,
    ModelName,
    SegmentIndex,
    check_length,
    circuit_of,
    read_body,
)
from cryptml_server.usage import UsageMeter


def evaluation_routes(
    registry: ModelRegistry, store: KeyStore, pool: WorkerPool, meter: UsageMeter, body_seconds: float
) -> APIRouter:
    """Return the routes below ``/models/{model}/segments``; bodies must come within ``body_seconds``."""
    router = APIRouter(prefix="/models/{model}/segments", tags=["evaluations"])

    @router.post(
        "/{index}/evaluations",
        response_class=Response,
        openapi_extra=takes_octets("The serialised encrypted input."),
        responses={
            200: octets("The serialised encrypted output; Server-Timing says how long the evaluation took."),
            **problems(
                s403="The tenant's query budget of this segment is used up.",
                s404="No such model, segment or evaluation keys.",
                s408="The body took too long.",
                s409="The body is of another circuit.",
                s413="The body is longer than an encrypted input.",
                s422="The ciphertext does not fit segment and keys, or workers ended during it; or the request breaks the interface.",
                s429="Too many evaluations at once, or of this day, or too many workers lost; Retry-After says when to come back.",
                s503="Too many requests wait, or the worker was lost; Retry-After says when to come back.",
                s504="The evaluation took too long.",
            ),
        },
    )
    async def evaluate(
        model: ModelName,
        index: SegmentIndex,
        circuit_header: CircuitHeader,
        keys_header: KeysHeader,
        request: Request,
        tenant: CurrentTenant,
    ) -> Response:
        """Evaluate one server segment."""
        circuit = circuit_of(registry, model, index, circuit_header)
        check_length(request, circuit.input_bytes, "the ciphertext")
        with meter.place(tenant):
            keys = await run_in_threadpool(store.find, tenant, circuit, keys_header)
            ciphertext = await read_body(request, circuit.input_bytes, "the ciphertext", body_seconds)
            async with meter.evaluation(tenant, circuit):
                result = await pool.evaluate(tenant.id, circuit, keys.path, keys.name, ciphertext)
        timing = f"evaluate;dur={result.evaluate_ms:.3f}"
        return Response(result.ciphertext, media_type=OCTETS, headers={"Server-Timing": timing})

    return router
