"""Jobs: where they stand, their results, their end; a tenant's own, whatever others have."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from cryptml_server.base.draining import Draining
from cryptml_server.base.models import Circuit
from cryptml_server.base.problems import Problem
from cryptml_server.database import DatabaseUnavailable
from cryptml_server.http.authentication import CurrentTenant
from cryptml_server.http.openapi import OCTETS, octets, problems
from cryptml_server.http.routes.parameters import Preferences, PreferHeader
from cryptml_server.jobs.dispatcher import Dispatcher
from cryptml_server.jobs.store import WAITING, Job, JobStore
from cryptml_server.tenancy.tenants import Tenant
from cryptml_server.workers.pool import WorkerPool

MOST_WAIT_SECONDS = 30
"""Of one request for a job that is not done; proxies cut off what is silent for much longer."""

MOST_WATCHED_EACH = 64
"""Requests of one tenant that wait for jobs to end; further ones are answered at once, and ask again."""

MOST_WATCHED = 256
"""The same of all tenants, so that connections are left for others."""

LOOK_SECONDS = 1.0
"""Between two looks for an end that another replica brought about."""

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
        "problem": {"type": ["object", "null"], "description": "status, title and detail, where it failed"},
    },
}
_JOB = {"content": {"application/json": {"schema": JOB_SCHEMA}}}


class JobDesk:
    """What the routes need of jobs: the store, who runs them, and how long that takes.

    Args:
        store: All jobs.
        dispatcher: Runs them.
        pool: Knows how long evaluations take.
        draining: Whether nobody is to be kept waiting.
    """

    def __init__(self, store: JobStore, dispatcher: Dispatcher, pool: WorkerPool, draining: Draining) -> None:
        self._draining = draining
        self._watched: Counter[str] = Counter()
        self.store = store
        self.dispatcher = dispatcher
        self._pool = pool

    async def submit(
        self, tenant: Tenant, circuit: Circuit, keys: str, ciphertext: bytes, idempotency_key: str | None
    ) -> Job:
        """Write a job, and have it run; see `JobStore.submit`. Who is told to come back is told when one more has probably ended."""
        try:
            job, _ = await run_in_threadpool(self.store.submit, tenant, circuit, keys, ciphertext, idempotency_key)
        except Problem as problem:
            if problem.title == "Too busy":
                problem.retry_after = math.ceil(self._pool.seconds(circuit.identity)) + 1
            raise
        self.dispatcher.wake()
        return job

    async def watch(self, tenant: Tenant, name: str, seconds: float) -> Job:
        """Return a job when it ended, or after a while; at once where many of the tenant's requests wait like this.

        Raises:
            Problem: 404 if there is no such job.
        """
        found = await run_in_threadpool(self.store.find, tenant, name)
        if self._watched[tenant.id] >= MOST_WATCHED_EACH or self._watched.total() >= MOST_WATCHED:
            return found
        self._watched[tenant.id] += 1
        try:
            until = time.monotonic() + seconds
            while not (found.ended or self._draining.is_set()) and (left := until - time.monotonic()) > 0:
                await self.dispatcher.until_ended(min(left, LOOK_SECONDS))
                found = await run_in_threadpool(self.store.find, tenant, name)
        finally:
            self._watched[tenant.id] -= 1
            if not self._watched[tenant.id]:
                del self._watched[tenant.id]
        return found

    async def describe(self, job: Job) -> dict[str, Any]:
        """Return a job as `JOB_SCHEMA` has it."""
        ahead, expected = None, None
        if not job.ended:
            seconds = self._pool.seconds(job.circuit)
            expected = seconds
            if job.state == WAITING:
                place = await run_in_threadpool(self.store.place, job)
                ahead = place.ahead
                expected = seconds * (1 + (ahead + 1) / place.workers)
        return self._described(job, ahead, expected)

    async def describe_accepted(self, job: Job) -> dict[str, Any]:
        """The same; a job that was accepted is described without its place where the database has gone since."""
        try:
            return await self.describe(job)
        except DatabaseUnavailable:
            return self._described(job, None, None)

    def _described(self, job: Job, ahead: int | None, expected: float | None) -> dict[str, Any]:
        return {
            "job": job.id,
            "state": job.state,
            "model": job.model,
            "segment": job.segment,
            "created": job.created,
            "finished": job.finished,
            "expires": self.store.expires(job),
            "ahead": ahead,
            "expected_seconds": None if expected is None else round(expected, 2),
            "evaluate_ms": job.evaluate_ms,
            "problem": None if job.problem is None else dict(job.problem),
        }


def job_routes(desk: JobDesk) -> APIRouter:
    """Return the routes below ``/jobs``."""
    router = APIRouter(prefix="/jobs", tags=["jobs"])
    unknown = problems(s404="The tenant has no such job.", s422="The request breaks the interface.")

    @router.get("", responses={200: {"content": {"application/json": {"schema": _list_schema()}}}})
    async def jobs(tenant: CurrentTenant) -> JSONResponse:
        """List the tenant's jobs, the latest first."""
        found = await run_in_threadpool(desk.store.of, tenant)
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
        return JSONResponse(await desk.describe(await desk.watch(tenant, job, seconds)))

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
        found, ciphertext = await run_in_threadpool(desk.store.output, tenant, job)
        timing = f"evaluate;dur={found.evaluate_ms or 0.0:.3f}"
        return Response(ciphertext, media_type=OCTETS, headers={"Server-Timing": timing})

    @router.delete("/{job}", status_code=204, responses=unknown)
    async def delete_job(job: JobName, tenant: CurrentTenant) -> Response:
        """Delete a job with its result; where it is at work, the evaluation stops."""
        await run_in_threadpool(desk.store.delete, tenant, job)
        desk.dispatcher.wake()
        return Response(status_code=204)

    return router


def _list_schema() -> dict[str, Any]:
    names = ("job", "state", "model", "segment", "created")
    entry = {"type": "object", "properties": {name: JOB_SCHEMA["properties"][name] for name in names}}
    return {"type": "object", "required": ["jobs"], "properties": {"jobs": {"type": "array", "items": entry}}}
