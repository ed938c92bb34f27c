"""Evaluations: an encrypted input in, an encrypted output out, or a job that will have it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from cryptml_server.http.authentication import CurrentTenant
from cryptml_server.http.openapi import OCTETS, octets, problems, takes_octets
from cryptml_server.http.routes.jobs import JOB_SCHEMA, describe_job
from cryptml_server.http.routes.parameters import (
    CircuitHeader,
    IdempotencyKey,
    KeysHeader,
    ModelName,
    Preferences,
    PreferHeader,
    SegmentIndex,
    check_length,
    circuit_of,
    read_body,
)
from cryptml_server.http.routes.services import Services
from cryptml_server.workers.protocol import EvaluationRequest


def evaluation_routes(services: Services, body_seconds: float) -> APIRouter:
    """Return the routes below ``/models/{model}/segments``; bodies must come within ``body_seconds``."""
    registry, jobs, meter = services.registry, services.jobs, services.meter
    router = APIRouter(prefix="/models/{model}/segments", tags=["evaluations"])

    @router.post(
        "/{index}/evaluations",
        response_class=Response,
        openapi_extra=takes_octets("The serialised encrypted input."),
        responses={
            200: octets("The serialised encrypted output; Server-Timing says how long the evaluation took."),
            202: {
                "description": "A job, as Prefer: respond-async asks; it is on disk, and Location is its address.",
                "content": {"application/json": {"schema": JOB_SCHEMA}},
            },
            **problems(
                s403="The tenant's query budget of this segment is used up.",
                s404="No such model, segment or evaluation keys.",
                s408="The body took too long.",
                s409="The body is of another circuit, or the idempotency key another request's.",
                s413="The body is longer than an encrypted input.",
                s422="The ciphertext does not fit segment and keys, or workers ended during it; or the request breaks the interface.",
                s429="Too many evaluations or jobs at once, or of this day, or too many workers lost; Retry-After says when to come back.",
                s503="Too many requests or jobs wait, or the worker was lost; Retry-After says when to come back.",
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
        prefer: PreferHeader = "",
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """Evaluate one server segment: now, or as a job."""
        circuit = circuit_of(registry, model, index, circuit_header)
        check_length(request, circuit.input_bytes, "the ciphertext")
        with meter.place(tenant):
            keys = await services.keys.find(tenant, circuit, keys_header)
            began = time.monotonic()
            ciphertext = await read_body(request, circuit.input_bytes, "the ciphertext", body_seconds)
            services.metrics.stage("receive", circuit.model, time.monotonic() - began)
            if Preferences.parse(prefer).respond_async:
                job = await jobs.submit(tenant, circuit, keys_header, ciphertext, idempotency_key)
                headers = {"Location": f"/v1/jobs/{job.id}", "Preference-Applied": "respond-async"}
                described = describe_job(job, await jobs.outlook_if_known(job), jobs.store.expires(job))
                return JSONResponse(described, status_code=202, headers=headers)
            async with meter.evaluation(tenant, circuit), while_connected(request):
                result = await services.pool.evaluate(
                    tenant.id, EvaluationRequest(circuit, keys.path, keys.name, ciphertext)
                )
        timing = f"evaluate;dur={result.evaluate_ms:.3f}"
        return Response(result.ciphertext, media_type=OCTETS, headers={"Server-Timing": timing})

    return router


@asynccontextmanager
async def while_connected(request: Request) -> AsyncIterator[None]:
    """Give up what is done in the block when the client hangs up, after its body was read.

    Raises:
        ClientDisconnect: If it did.
    """
    gone, failure = False, None

    async def watch() -> None:
        nonlocal gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone = True
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        try:
            yield
        except Exception as error:  # noqa: BLE001 (the group would wrap it)
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if gone:
        raise ClientDisconnect
