"""Jobs: evaluations that are on disk before their client is told so, and are answered once, whatever ends in between."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from cryptml_server.base.clock import now
from cryptml_server.base.errors import (
    CircuitNotServed,
    IdempotencyKeyUsed,
    JobNotFinished,
    ServerError,
    TooBusy,
    TooManyJobs,
    UnknownJob,
)
from cryptml_server.base.models import Circuit
from cryptml_server.database import Database, job_bodies, jobs, replicas, tenants
from cryptml_server.jobs.rows import DONE, FAILED, RUNNING, WAITING, Job, job_of, write_failure
from cryptml_server.tenancy.tenants import Tenant
from cryptml_server.tenancy.usage import count_evaluation

MOST_LISTED = 1000


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
    """Jobs as their tenants see them; every change is one transaction. Who runs them sees `JobClaims`.

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
            IdempotencyKeyUsed: If the name is another request's.
            TooManyJobs: Where the tenant has too many.
            DailyQuotaExhausted: Where it has no evaluations left today.
            QueryBudgetExhausted: Where a query budget is used up.
            TooBusy: Where too many jobs wait.
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
        return job_of(found), True

    def find(self, tenant: Tenant, name: str) -> Job:
        """Return a job of a tenant.

        Raises:
            UnknownJob: If it has none of that name, whoever else has.
        """
        with self._database.reading() as connection:
            return _find(connection, tenant, name)

    def of(self, tenant: Tenant) -> list[Job]:
        """Return a tenant's jobs, the latest first, `MOST_LISTED` at most."""
        with self._database.reading() as connection:
            rows = connection.execute(
                select(jobs).where(jobs.c.tenant == tenant.id).order_by(jobs.c.number.desc()).limit(MOST_LISTED)
            )
            return [job_of(row) for row in rows]

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
            UnknownJob: If there is no such job.
            JobNotFinished: If it is not done.
            ServerError: What it failed with.
        """
        with self._database.reading() as connection:
            job = _find(connection, tenant, name)
            if job.failure is not None:
                raise job.failure
            if job.state != DONE:
                raise JobNotFinished(f"the job is {job.state}; ask again later", retry_after=1)
            body = connection.execute(
                select(job_bodies.c.ciphertext).where(job_bodies.c.job == job.id)
            ).scalar_one_or_none()
        if body is None:  # deleted in the same moment
            raise _unknown()
        return job, bytes(body)

    def delete(self, tenant: Tenant, name: str) -> None:
        """Delete a job with its result. It stays counted: whoever may take evaluations back may ask for as many as it likes.

        Raises:
            UnknownJob: If there is no such job.
        """
        with self._database.writing() as connection:
            job = _find(connection, tenant, name)
            connection.execute(delete(jobs).where(jobs.c.id == job.id))

    def count(self) -> dict[str, int]:
        """Return how many jobs there are, by state."""
        with self._database.reading() as connection:
            found = connection.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state)).all()
        return dict.fromkeys((WAITING, RUNNING, DONE, FAILED), 0) | {state: int(count) for state, count in found}

    def sweep(self, circuits: frozenset[str]) -> None:
        """Delete jobs that ended long ago, and fail those that have waited as long for a circuit that is not served.

        Args:
            circuits: Identities of those that are.
        """
        limit = now() - self._kept_seconds
        gone = CircuitNotServed("the service has not had the job's circuit for long; fetch the bundle again")
        with self._database.writing() as connection:
            connection.execute(delete(jobs).where(jobs.c.finished < limit))
            forgotten = (jobs.c.state == WAITING, jobs.c.created < limit, jobs.c.circuit.not_in(circuits))
            ids = select(jobs.c.id).where(*forgotten)
            connection.execute(update(job_bodies).where(job_bodies.c.job.in_(ids)).values(ciphertext=b""))
            connection.execute(
                update(jobs).where(*forgotten).values(state=FAILED, finished=now(), problem=write_failure(gone))
            )

    def expires(self, job: Job) -> float | None:
        """Return when a job that ended will be deleted."""
        return None if job.finished is None else job.finished + self._kept_seconds

    def _require_room(self, connection: Connection, tenant: Tenant) -> None:
        own = connection.execute(select(func.count()).where(jobs.c.tenant == tenant.id)).scalar_one()
        if own >= tenant.quotas.jobs:
            raise TooManyJobs(
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
            raise TooBusy(
                f"too many jobs wait, {waiting.get(tenant.id, 0)} of them yours; try later",
                retry_after=30,
            )


def _find(connection: Connection, tenant: Tenant, name: str) -> Job:
    row = connection.execute(select(jobs).where(jobs.c.id == name, jobs.c.tenant == tenant.id)).first()
    if row is None:
        raise _unknown()
    return job_of(row)


def _unknown() -> ServerError:
    return UnknownJob("you have no job of that name; it may have been deleted, or have expired")


def _same(row: Row[Any], request: str) -> Job:
    if row.request != request:
        raise IdempotencyKeyUsed(
            "the idempotency key was used for another request; give each request a key of its own",
        )
    return job_of(row)
