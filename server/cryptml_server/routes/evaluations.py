"""Evaluations: an encrypted input in, an encrypted output out."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from cryptml_server.authentication import CurrentTenant
from cryptml_server.key_store import KeyStore
from cryptml_server.models import ModelRegistry
from cryptml_server.pool import WorkerPool
from cryptml_server.routes.parameters import (
    OCTETS,
    CircuitHeader,
    KeysHeader,
    ModelName,
    SegmentIndex,
    check_length,
    circuit_of,
    key_name,
    read_body,
)
from cryptml_server.usage import UsageMeter


def evaluation_routes(registry: ModelRegistry, store: KeyStore, pool: WorkerPool, meter: UsageMeter) -> APIRouter:
    """Return the routes below ``/models/{model}/segments``."""
    router = APIRouter(prefix="/models/{model}/segments", tags=["evaluations"])

    @router.post("/{index}/evaluations")
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
        await run_in_threadpool(store.find, tenant, circuit, keys_header)
        check_length(request, circuit.input_bytes, "the ciphertext")
        ciphertext = await read_body(request, circuit.input_bytes, "the ciphertext")
        keys, name = store.path(tenant, circuit, keys_header), key_name(tenant, circuit, keys_header)
        async with meter.evaluation(tenant, circuit):
            result = await pool.evaluate(tenant.id, circuit, keys, name, ciphertext)
        timing = f"evaluate;dur={result.evaluate_ms:.3f}"
        return Response(result.ciphertext, media_type=OCTETS, headers={"Server-Timing": timing})

    return router
