"""Which replica works at which job: a job waits, is claimed, and only the claim that it runs under ends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, update

from cryptml_server.base.clock import now
from cryptml_server.base.errors import ServerError
from cryptml_server.base.models import Circuit
from cryptml_server.database import Database, job_bodies, jobs, replicas, tenants
from cryptml_server.jobs.rows import DONE, FAILED, RUNNING, WAITING, Job, job_of, write_failure
from cryptml_server.tenancy.usage import take_back_evaluation

MOST_BEGUN = 100
"""Times that one job is begun: services that end may interrupt it often, but one that ends them must not for ever."""

_FREE = {"state": WAITING, "replica": None, "claim": None}


class JobClaims:
    """Jobs as those see them who run them; every change is one transaction.

    Only the claim that a job runs under can end it, so it is answered once. What a replica that is gone has begun waits again.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def first(self, circuits: frozenset[str]) -> list[Job]:
        """Return the first job that waits of each tenant that has any, for some circuits."""
        with self._database.reading() as connection:
            first = (
                select(func.min(jobs.c.number))
                .where(jobs.c.state == WAITING, jobs.c.circuit.in_(circuits))
                .group_by(jobs.c.tenant)
            )
            return [job_of(row) for row in connection.execute(select(jobs).where(jobs.c.number.in_(first)))]

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
                    return replace(job_of(first), state=RUNNING, claim=claim, begun=first.begun + 1), bytes(body)

    def finish(self, job: Job, ciphertext: bytes, evaluate_ms: float) -> bool:
        """Write a job's encrypted result, and return whether its claim still held: it is answered once."""
        with self._database.writing() as connection:
            had = _end(connection, job, state=DONE, evaluate_ms=evaluate_ms)
            if had:
                connection.execute(update(job_bodies).where(job_bodies.c.job == job.id).values(ciphertext=ciphertext))
        return had

    def fail(self, job: Job, problem: ServerError, circuit: Circuit | None) -> bool:
        """Write why a job failed, and return whether its claim still held.

        Args:
            job: That failed.
            problem: Why.
            circuit: Of the job; where it is given, and the failure is not the client's, the evaluation counts no more.
        """
        written = write_failure(problem)
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

    def release_unknown(self, claims: set[str]) -> int:
        """Return jobs to the queue whose claim was committed, but whose commit was never confirmed to this replica.

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


def _held(job: Job) -> tuple[ColumnElement[bool], ...]:
    return (jobs.c.id == job.id, jobs.c.state == RUNNING, jobs.c.claim == job.claim)


def _end(connection: Connection, job: Job, **values: Any) -> bool:
    ended = connection.execute(update(jobs).where(*_held(job)).values(**{**_FREE, "finished": now(), **values}))
    return bool(ended.rowcount)


def _at_bound(connection: Connection, tenant: str) -> bool:
    """Return whether as many jobs of a tenant are at work as it may have evaluations at once."""
    running = select(func.count()).where(jobs.c.tenant == tenant, jobs.c.state == RUNNING).scalar_subquery()
    found = connection.execute(select(tenants.c.concurrent_evaluations <= running).where(tenants.c.id == tenant))
    return bool(found.scalar_one_or_none())
