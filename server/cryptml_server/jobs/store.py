"""Jobs: evaluations that are on disk before their client is told so, and are answered once, whatever ends in between."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from cryptml_server.base.clock import now
from cryptml_server.base.models import Circuit
from cryptml_server.base.problems import Problem
from cryptml_server.database import Database, job_bodies, jobs, replicas, tenants
from cryptml_server.tenancy.tenants import Tenant
from cryptml_server.tenancy.usage import count_evaluation, take_back_evaluation

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"

MOST_BEGUN = 100
"""Times that one job is begun: services that end may interrupt it often, but one that ends them must not for ever."""

MOST_LISTED = 1000
FINAL = 500
_FREE = {"state": WAITING, "replica": None, "claim": None}


@dataclass(frozen=True)
class Job:
    """What is known of a job, without its ciphertexts.

    Attributes:
        number: Grows in the order of their coming.
        id: Random; with its tenant's token it can be fetched.
        tenant: Id of whose it is.
        model: Name.
        segment: Number among the model's server segments.
        circuit: Identity of the circuit that the input was made for.
        key_digest: Of the evaluation keys.
        state: `WAITING`, `RUNNING`, `DONE` or `FAILED`.
        begun: How often, but for the times that count for nothing.
        claim: Which of its runs this is, by a name that whoever took it up drew; None while it does not run.
        created: Seconds since 1970, UTC.
        finished: The same; None while it is not.
        day: Days since 1970, whose quota it counts for.
        evaluate_ms: Of the circuit; None while it is not done.
        problem: Members of a problem document, where it failed.
    """

    number: int
    id: str
    tenant: str
    model: str
    segment: int
    circuit: str
    key_digest: str
    state: str
    begun: int
    claim: str | None
    created: float
    finished: float | None
    day: int
    evaluate_ms: float | None
    problem: Mapping[str, Any] | None

    @property
    def ended(self) -> bool:
        """Whether it is done or failed."""
        return self.state in (DONE, FAILED)


@dataclass(frozen=True)
class Place:
    """Where a waiting job stands.

    Attributes:
        ahead: Jobs that begin before it, if tenants take turns.
        workers: Of all replicas.
    """

    ahead: int
    workers: int


class JobStore:
    """The jobs of a service; every change is one transaction.

    A job waits, runs on a replica, and is done or failed: only the claim that it runs under can end it, so it is answered once. What
    a replica that is gone has begun waits again.

    Args:
        database: Where they are.
        waiting: Jobs that may wait, of all tenants.
        kept_seconds: For which a job that ended is kept.
    """

    def __init__(self, database: Database, *, waiting: int, kept_seconds: float) -> None:
        self._database = database
        self._most_waiting = waiting
        self._kept_seconds = kept_seconds

    def submit(
        self, tenant: Tenant, circuit: Circuit, keys: str, ciphertext: bytes, idempotency_key: str | None
    ) -> tuple[Job, bool]:
        """Write a job, durably, and count it as an evaluation.

        Args:
            tenant: Whose it is.
            circuit: To evaluate.
            keys: Digest of the tenant's evaluation keys.
            ciphertext: Serialised.
            idempotency_key: The client's name for it: the same request of the same name is the same job.

        Returns:
            The job, and whether it is new.

        Raises:
            Problem: 409 if the name is another request's, 429 where the tenant has too many jobs or no evaluations left today, 403 where
                a query budget is used up, 503 where too many jobs wait.
        """
        request = hashlib.sha256(f"{circuit.identity} {keys} ".encode() + ciphertext).hexdigest()
        with self._database.writing() as connection:
            connection.execute(  # one at a time of each tenant
                select(tenants.c.id).where(tenants.c.id == tenant.id).with_for_update(key_share=True)
            )
            if idempotency_key is not None:
                known = connection.execute(
                    select(jobs).where(jobs.c.tenant == tenant.id, jobs.c.idempotency_key == idempotency_key)
                ).first()
                if known is not None:
                    return _same(known, request), False
            self._require_room(connection, tenant)
            row = {
                "id": secrets.token_hex(16),
                "tenant": tenant.id,
                "model": circuit.model,
                "segment": circuit.index,
                "circuit": circuit.identity,
                "key_digest": keys,
                "idempotency_key": idempotency_key,
                "request": request,
                "state": WAITING,
                "begun": 0,
                "created": now(),
                "day": count_evaluation(connection, tenant, circuit),
            }
            connection.execute(insert(jobs).values(**row))
            connection.execute(insert(job_bodies).values(job=row["id"], ciphertext=ciphertext))
            found = connection.execute(select(jobs).where(jobs.c.id == row["id"])).one()
        return _job(found), True

    def find(self, tenant: Tenant, name: str) -> Job:
        """Return a job of a tenant.

        Raises:
            Problem: 404 if it has none of that name, whoever else has.
        """
        with self._database.reading() as connection:
            return _find(connection, tenant, name)

    def of(self, tenant: Tenant) -> list[Job]:
        """Return a tenant's jobs, the latest first, `MOST_LISTED` at most."""
        with self._database.reading() as connection:
            rows = connection.execute(
                select(jobs).where(jobs.c.tenant == tenant.id).order_by(jobs.c.number.desc()).limit(MOST_LISTED)
            )
            return [_job(row) for row in rows]

    def place(self, job: Job) -> Place:
        """Return where a waiting job stands, if every tenant has one at a time."""
        with self._database.reading() as connection:
            counts = connection.execute(
                select(jobs.c.tenant, func.count()).where(jobs.c.state == WAITING).group_by(jobs.c.tenant)
            ).all()
            own = connection.execute(
                select(func.count()).where(
                    jobs.c.state == WAITING, jobs.c.tenant == job.tenant, jobs.c.number < job.number
                )
            ).scalar_one()
            workers = connection.execute(select(func.coalesce(func.sum(replicas.c.workers), 0))).scalar_one()
        ahead = own + sum(min(count, own + 1) for tenant, count in counts if tenant != job.tenant)
        return Place(int(ahead), max(1, int(workers)))

    def output(self, tenant: Tenant, name: str) -> tuple[Job, bytes]:
        """Return the encrypted result of a job.

        Raises:
            Problem: 404 if there is no such job, 409 if it is not done; what it failed with.
        """
        with self._database.reading() as connection:
            job = _find(connection, tenant, name)
            if job.problem is not None:
                raise Problem(int(job.problem["status"]), str(job.problem["title"]), str(job.problem["detail"]))
            if job.state != DONE:
                raise Problem(409, "Not finished", f"the job is {job.state}; ask again later", retry_after=1)
            body = connection.execute(
                select(job_bodies.c.ciphertext).where(job_bodies.c.job == job.id)
            ).scalar_one_or_none()
        if body is None:  # deleted in the same moment
            raise _unknown()
        return job, bytes(body)

    def delete(self, tenant: Tenant, name: str) -> None:
        """Delete a job with its result. It stays counted: whoever may take evaluations back may ask for as many as it likes.

        Raises:
            Problem: 404 if there is no such job.
        """
        with self._database.writing() as connection:
            job = _find(connection, tenant, name)
            connection.execute(delete(jobs).where(jobs.c.id == job.id))

    def first(self, circuits: frozenset[str]) -> list[Job]:
        """Return the first job that waits of each tenant that has any, for some circuits."""
        with self._database.reading() as connection:
            first = (
                select(func.min(jobs.c.number))
                .where(jobs.c.state == WAITING, jobs.c.circuit.in_(circuits))
                .group_by(jobs.c.tenant)
            )
            return [_job(row) for row in connection.execute(select(jobs).where(jobs.c.number.in_(first)))]

    def count(self) -> dict[str, int]:
        """Return how many jobs there are, by state."""
        with self._database.reading() as connection:
            found = connection.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state)).all()
        return dict.fromkeys((WAITING, RUNNING, DONE, FAILED), 0) | {state: int(count) for state, count in found}

    def claim(self, tenant: str, circuits: frozenset[str], replica: str, claim: str) -> tuple[Job, bytes] | None:
        """Give a tenant's first waiting job to a replica, with its input; None where there is none.

        Args:
            tenant: Its id.
            circuits: Identities of those that the replica has.
            replica: Its id.
            claim: Drawn for this; none is used twice.
        """
        while True:
            with self._database.writing() as connection:
                first = connection.execute(
                    select(jobs)
                    .where(jobs.c.tenant == tenant, jobs.c.state == WAITING, jobs.c.circuit.in_(circuits))
                    .order_by(jobs.c.number)
                    .limit(1)
                ).first()
                if first is None or _at_bound(connection, tenant):
                    return None
                taken = connection.execute(
                    update(jobs)
                    .where(jobs.c.number == first.number, jobs.c.state == WAITING)
                    .values(state=RUNNING, replica=replica, claim=claim, begun=first.begun + 1)
                )
                if taken.rowcount:  # else another replica was faster
                    body = connection.execute(
                        select(job_bodies.c.ciphertext).where(job_bodies.c.job == first.id)
                    ).scalar_one()
                    return replace(_job(first), state=RUNNING, claim=claim, begun=first.begun + 1), bytes(body)

    def finish(self, job: Job, ciphertext: bytes, evaluate_ms: float) -> bool:
        """Write a job's encrypted result, and return whether its claim still held: it is answered once."""
        with self._database.writing() as connection:
            had = _end(connection, job, state=DONE, evaluate_ms=evaluate_ms)
            if had:
                connection.execute(update(job_bodies).where(job_bodies.c.job == job.id).values(ciphertext=ciphertext))
        return had

    def fail(self, job: Job, problem: Problem, circuit: Circuit | None) -> bool:
        """Write why a job failed, and return whether its claim still held.

        Args:
            job: That failed.
            problem: Why.
            circuit: Of the job; where it is given, and the failure is not the client's, the evaluation counts no more.
        """
        # What was refused for now is final for a job: nobody is to ask for its result again and again.
        status = FINAL if problem.status in (429, 503) else problem.status
        written = json.dumps({"status": status, "title": problem.title, "detail": problem.detail})
        with self._database.writing() as connection:
            had = _end(connection, job, state=FAILED, problem=written)
            if had:
                connection.execute(update(job_bodies).where(job_bodies.c.job == job.id).values(ciphertext=b""))
                if circuit is not None and not problem.counts:
                    take_back_evaluation(connection, job.tenant, circuit, job.day)
        return had

    def release(self, job: Job, *, begun: bool) -> bool:
        """Let a job that was not ended wait again, in its old place, and return whether its claim still held.

        Args:
            job: That waits again.
            begun: Whether this counts as one of the times that it was begun.
        """
        with self._database.writing() as connection:
            released = connection.execute(
                update(jobs).where(*_held(job)).values(**_FREE, begun=job.begun if begun else job.begun - 1)
            )
        return bool(released.rowcount)

    def disown(self, claims: set[str]) -> int:
        """Let jobs wait again whose claims nobody knows of, since the database took them down and its word was lost on the way.

        Returns:
            How many there were.
        """
        with self._database.writing() as connection:
            found = connection.execute(
                update(jobs).where(jobs.c.claim.in_(claims), jobs.c.state == RUNNING).values(**_FREE)
            )
        return int(found.rowcount)

    def held(self, replica: str) -> set[str]:
        """Return the claims that a replica has: of jobs that were deleted, or taken from it, there are none."""
        with self._database.reading() as connection:
            return set(
                connection.execute(
                    select(jobs.c.claim).where(jobs.c.replica == replica, jobs.c.state == RUNNING)
                ).scalars()
            )

    def take_up(self) -> int:
        """Let jobs of replicas that are gone wait again, and return how many there were."""
        there = select(replicas.c.id)
        with self._database.writing() as connection:
            found = connection.execute(
                update(jobs).where(jobs.c.state == RUNNING, jobs.c.replica.not_in(there)).values(**_FREE)
            )
        return int(found.rowcount)

    def sweep(self, circuits: frozenset[str]) -> None:
        """Delete jobs that ended long ago, and fail those that have waited as long for a circuit that is not served.

        Args:
            circuits: Identities of those that are.
        """
        limit = now() - self._kept_seconds
        old = json.dumps(
            {
                "status": 410,
                "title": "Not served",
                "detail": "the service has not had the job's circuit for long; fetch the bundle again",
            }
        )
        with self._database.writing() as connection:
            connection.execute(delete(jobs).where(jobs.c.finished < limit))
            forgotten = (jobs.c.state == WAITING, jobs.c.created < limit, jobs.c.circuit.not_in(circuits))
            ids = select(jobs.c.id).where(*forgotten)
            connection.execute(update(job_bodies).where(job_bodies.c.job.in_(ids)).values(ciphertext=b""))
            connection.execute(update(jobs).where(*forgotten).values(state=FAILED, finished=now(), problem=old))

    def expires(self, job: Job) -> float | None:
        """Return when a job that ended will be deleted."""
        return None if job.finished is None else job.finished + self._kept_seconds

    def _require_room(self, connection: Connection, tenant: Tenant) -> None:
        own = connection.execute(select(func.count()).where(jobs.c.tenant == tenant.id)).scalar_one()
        if own >= tenant.quotas.jobs:
            raise Problem(
                429,
                "Too many jobs",
                f"you keep {own} jobs, {tenant.quotas.jobs} at most; delete those whose results you have, or wait",
                retry_after=10,
            )
        waiting = {
            row.tenant: int(row[1])
            for row in connection.execute(
                select(jobs.c.tenant, func.count()).where(jobs.c.state == WAITING).group_by(jobs.c.tenant)
            )
        }
        # A tenant with less than its share is let in, so that no few can fill the queue for all; then there are twice as many at most.
        share = self._most_waiting // (len(waiting.keys() | {tenant.id}))
        total = sum(waiting.values())
        if total >= self._most_waiting and (waiting.get(tenant.id, 0) >= share or total >= 2 * self._most_waiting):
            raise Problem(
                503,
                "Too busy",
                f"too many jobs wait, {waiting.get(tenant.id, 0)} of them yours; try later",
                retry_after=30,
            )


def _held(job: Job) -> tuple[ColumnElement[bool], ...]:
    return (jobs.c.id == job.id, jobs.c.state == RUNNING, jobs.c.claim == job.claim)


def _end(connection: Connection, job: Job, **values: Any) -> bool:
    ended = connection.execute(update(jobs).where(*_held(job)).values(**{**_FREE, "finished": now(), **values}))
    return bool(ended.rowcount)


def _find(connection: Connection, tenant: Tenant, name: str) -> Job:
    row = connection.execute(select(jobs).where(jobs.c.id == name, jobs.c.tenant == tenant.id)).first()
    if row is None:
        raise _unknown()
    return _job(row)


def _at_bound(connection: Connection, tenant: str) -> bool:
    """Return whether as many jobs of a tenant are at work as it may have evaluations at once."""
    running = select(func.count()).where(jobs.c.tenant == tenant, jobs.c.state == RUNNING).scalar_subquery()
    found = connection.execute(select(tenants.c.concurrent_evaluations <= running).where(tenants.c.id == tenant))
    return bool(found.scalar_one_or_none())


def _unknown() -> Problem:
    return Problem(404, "Unknown job", "you have no job of that name; it may have been deleted, or have expired")


def _same(row: Row[Any], request: str) -> Job:
    if row.request != request:
        raise Problem(
            409,
            "Idempotency key used",
            "the idempotency key was used for another request; give each request a key of its own",
        )
    return _job(row)


def _job(row: Row[Any]) -> Job:
    values = {name: getattr(row, name) for name in Job.__dataclass_fields__}
    values["problem"] = None if row.problem is None else json.loads(row.problem)
    return Job(**values)
