"""Jobs: where they stand, their results, their end; a tenant's own, whatever others have."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from cryptml_server.http.authentication import CurrentTenant
from cryptml_server.http.openapi import OCTETS, octets, problems
from cryptml_server.http.problems import describe_problem
from cryptml_server.http.routes.parameters import Preferences, PreferHeader
from cryptml_server.jobs.rows import Job
from cryptml_server.jobs.service import JobOutlook, JobService

MOST_WAIT_SECONDS = 30
"""Of one request for a job that is not done; proxies cut off what is silent for much longer."""

JobName = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="that the answer to the evaluation gave")]
_NUMBER = {"type": ["number", "null"]}
JOB_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["job", "state", "model", "segment", "created"],
    "properties": {
        "job": {"type": "string", "description": "its name; its address is /v1/jobs/ and the name"},
        "state": {"enum": ["waiting", "running", "done", "failed"]},
        "model": {"type": "string"},
        "segment": {"type": "integer"},
        "created": {"type": "number", "description": "seconds since 1970, UTC"},
        "finished": {**_NUMBER, "description": "the same"},
        "expires": {**_NUMBER, "description": "when it will be deleted"},
        "ahead": {"type": ["integer", "null"], "description": "jobs before it, if tenants take turns, while it waits"},
        "expected_seconds": {**_NUMBER, "description": "until it is done, by what lately took how long"},
        "evaluate_ms": {**_NUMBER, "description": "of the circuit, once it is done"},
        "problem": {"type": ["object", "null"], "description": "type, title, status and detail, where it failed"},
    },
}
_JOB = {"content": {"application/json": {"schema": JOB_SCHEMA}}}


def job_routes(service: JobService) -> APIRouter:
    """Return the routes below ``/jobs``."""
    router = APIRouter(prefix="/jobs", tags=["jobs"])
    unknown = problems(s404="The tenant has no such job.", s422="The request breaks the interface.")

    @router.get("", responses={200: {"content": {"application/json": {"schema": _list_schema()}}}})
    async def jobs(tenant: CurrentTenant) -> JSONResponse:
        """List the tenant's jobs, the latest first."""
        found = await run_in_threadpool(service.store.of, tenant)
        return JSONResponse(
            {
                "jobs": [
                    {
                        "job": job.id,
                        "state": job.state,
                        "model": job.model,
                        "segment": job.segment,
                        "created": job.created,
                    }
                    for job in found
                ]
            }
        )

    @router.get("/{job}", responses={200: {"description": "Where it stands.", **_JOB}, **unknown})
    async def job_state(job: JobName, tenant: CurrentTenant, prefer: PreferHeader = "") -> JSONResponse:
        """Say where a job stands; Prefer: wait=SECONDS holds the answer until it ended, or as long."""
        seconds = min(MOST_WAIT_SECONDS, Preferences.parse(prefer).wait_seconds)
        found = await service.watch(tenant, job, seconds)
        return JSONResponse(describe_job(found, await service.outlook(found), service.store.expires(found)))

    @router.get(
        "/{job}/result",
        response_class=Response,
        responses={
            200: octets("The serialised encrypted output; Server-Timing says how long the evaluation took."),
            **unknown,
            **problems(
                s409="It is not done yet; Retry-After says when to come back.",
                s422="It failed: the ciphertext does not fit segment and keys, or workers ended during it.",
                s500="It failed in the service.",
                s504="It failed: the evaluation took too long.",
            ),
        },
    )
    async def result(job: JobName, tenant: CurrentTenant) -> Response:
        """Return the encrypted output of a job, or what it failed with; until the job is deleted, or expires."""
        found, ciphertext = await run_in_threadpool(service.store.output, tenant, job)
        timing = f"evaluate;dur={found.evaluate_ms or 0.0:.3f}"
        return Response(ciphertext, media_type=OCTETS, headers={"Server-Timing": timing})

    @router.delete("/{job}", status_code=204, responses=unknown)
    async def delete_job(job: JobName, tenant: CurrentTenant) -> Response:
        """Delete a job with its result; where it is at work, the evaluation stops."""
        await run_in_threadpool(service.store.delete, tenant, job)
        service.dispatcher.wake()
        return Response(status_code=204)

    return router


def describe_job(job: Job, outlook: JobOutlook, expires: float | None) -> dict[str, Any]:
    """Return a job as `JOB_SCHEMA` has it.

    Args:
        job: To describe.
        outlook: How long it will take.
        expires: When it will be deleted, seconds since 1970, UTC; None while that is not known.
    """
    return {
        "job": job.id,
        "state": job.state,
        "model": job.model,
        "segment": job.segment,
        "created": job.created,
        "finished": job.finished,
        "expires": expires,
        "ahead": outlook.ahead,
        "expected_seconds": None if outlook.seconds is None else round(outlook.seconds, 2),
        "evaluate_ms": job.evaluate_ms,
        "problem": None if job.failure is None else describe_problem(job.failure),
    }


def _list_schema() -> dict[str, Any]:
    names = ("job", "state", "model", "segment", "created")
    entry = {"type": "object", "properties": {name: JOB_SCHEMA["properties"][name] for name in names}}
    return {"type": "object", "required": ["jobs"], "properties": {"jobs": {"type": "array", "items": entry}}}
