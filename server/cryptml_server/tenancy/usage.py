"""What tenants have used, against what they may: evaluations at once and of a day, queries to a segment."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update
from starlette.concurrency import run_in_threadpool

from cryptml_server.base.errors import DailyQuotaExhausted, QueryBudgetExhausted, ServerError, TooManyEvaluations
from cryptml_server.base.models import Circuit
from cryptml_server.database import Database, DatabaseUnavailable, daily_usage, insert_if_absent, query_budgets
from cryptml_server.tenancy.tenants import Tenant

DAY = 86_400

_log = logging.getLogger(__name__)


class UsageMeter:
    """Counts evaluations, and refuses those beyond a quota or a budget.

    An evaluation counts whether the client waits for its answer or not; `ServerError.counts` says which of those that failed
    count too. Used from one event loop.

    Args:
        database: Holds the counts, but for evaluations under way, which are this process's own.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def place(self, tenant: Tenant) -> Iterator[None]:
        """Take one of a tenant's places until the end of the block, from before its request's body is read.

        Raises:
            TooManyEvaluations: If all are taken.
        """
        most = tenant.quotas.concurrent_evaluations
        if self._under_way[tenant.id] >= most:
            raise TooManyEvaluations(
                f"{most} evaluations of yours wait or run, which is your quota; wait for one of them",
                retry_after=1,
            )
        self._under_way[tenant.id] += 1
        try:
            yield
        finally:
            self._under_way[tenant.id] -= 1
            if not self._under_way[tenant.id]:
                del self._under_way[tenant.id]

    @asynccontextmanager
    async def evaluation(self, tenant: Tenant, circuit: Circuit) -> AsyncIterator[None]:
        """Count one evaluation; it is not counted if it failed for a reason that is not the client's (`ServerError.counts` is false).

        Raises:
            DailyQuotaExhausted: Beyond the day's quota, with the time until the next.
            QueryBudgetExhausted: Where a query budget is used up.
        """
        day = await run_in_threadpool(self._count, tenant, circuit)
        try:
            yield
        except ServerError as problem:
            if not problem.counts:
                await run_in_threadpool(self._take_back, tenant, circuit, day)
            raise

    def _count(self, tenant: Tenant, circuit: Circuit) -> int:
        with self._database.writing() as connection:
            return count_evaluation(connection, tenant, circuit)

    def _take_back(self, tenant: Tenant, circuit: Circuit, day: int) -> None:
        try:
            with self._database.writing() as connection:
                take_back_evaluation(connection, tenant.id, circuit, day)
        except DatabaseUnavailable:
            _log.error("an evaluation of tenant %s that failed stays counted: the database is unavailable", tenant.id)

    def set_budget(self, tenant: Tenant, model: str, segment: tuple[int, int], budget: int | None) -> None:
        """Give a tenant a budget of queries to one segment; None takes its own budget away again.

        Args:
            tenant: Whose.
            model: Name of the model.
            segment: First layer, and the one behind the last.
            budget: Queries, ever, those before included.
        """
        with self._database.writing() as connection:
            _ensure_budget(connection, tenant, model, segment)
            connection.execute(update(query_budgets).where(*_place(tenant.id, model, segment)).values(budget=budget))

    def budgets(self, tenant: Tenant) -> list[dict[str, Any]]:
        """Return what a tenant has asked of each segment that it asked, or has a budget for."""
        with self._database.reading() as connection:
            rows = connection.execute(
                select(query_budgets)
                .where(query_budgets.c.tenant == tenant.id)
                .order_by(query_budgets.c.model, query_budgets.c.start, query_budgets.c.stop)
            )
            return [
                {
                    "model": row.model,
                    "start": row.start,
                    "stop": row.stop,
                    "used": row.used,
                    "budget": tenant.quotas.segment_queries if row.budget is None else row.budget,
                }
                for row in rows
            ]

    def used_today(self, tenant: Tenant) -> int:
        """Return the evaluations of this day (UTC)."""
        with self._database.reading() as connection:
            day = int(time.time()) // DAY
            found = connection.execute(
                select(daily_usage.c.evaluations).where(daily_usage.c.tenant == tenant.id, daily_usage.c.day == day)
            ).scalar()
            return int(found or 0)


def count_evaluation(connection: Connection, tenant: Tenant, circuit: Circuit) -> int:
    """Count one evaluation with what else the connection writes, and return the day that it counts for.

    Raises:
        DailyQuotaExhausted: Beyond the day's quota, with the time until the next.
        QueryBudgetExhausted: Where a query budget is used up.
    """
    now = int(time.time())
    _count_day(connection, tenant, now)
    _count_query(connection, tenant, circuit)
    return now // DAY


def take_back_evaluation(connection: Connection, tenant: str, circuit: Circuit, day: int) -> None:
    """Count one evaluation less that was not made.

    Args:
        connection: That writes.
        tenant: Its id.
        circuit: That was asked.
        day: That `count_evaluation` returned.
    """
    connection.execute(
        update(daily_usage)
        .where(daily_usage.c.tenant == tenant, daily_usage.c.day == day, daily_usage.c.evaluations > 0)
        .values(evaluations=daily_usage.c.evaluations - 1)
    )
    connection.execute(
        update(query_budgets)
        .where(*_place(tenant, circuit.model, circuit.segment), query_budgets.c.used > 0)
        .values(used=query_budgets.c.used - 1)
    )


def count_upload(connection: Connection, tenant: Tenant, size: int) -> None:
    """Count bytes of evaluation keys that a tenant has sent, with what else the connection writes.

    Raises:
        DailyQuotaExhausted: Beyond the day's quota, with the time until the next.
    """
    now, size = int(time.time()), max(0, size)
    day, most = now // DAY, tenant.quotas.daily_upload_bytes
    place = (daily_usage.c.tenant == tenant.id, daily_usage.c.day == day)
    insert_if_absent(connection, daily_usage, {"tenant": tenant.id, "day": day, "evaluations": 0})
    counted = connection.execute(
        update(daily_usage)
        .where(*place, daily_usage.c.upload_bytes + size <= most)
        .values(upload_bytes=daily_usage.c.upload_bytes + size)
    )
    if not counted.rowcount:
        raise DailyQuotaExhausted(
            f"your {most} bytes of uploads of this day (UTC) are used up; come back tomorrow or ask for a larger quota",
            retry_after=(day + 1) * DAY - now,
        )


def _count_day(connection: Connection, tenant: Tenant, now: int) -> None:
    day, most = now // DAY, tenant.quotas.daily_evaluations
    place = (daily_usage.c.tenant == tenant.id, daily_usage.c.day == day)
    insert_if_absent(connection, daily_usage, {"tenant": tenant.id, "day": day, "evaluations": 0})
    counted = connection.execute(
        update(daily_usage)
        .where(*place, daily_usage.c.evaluations < most)
        .values(evaluations=daily_usage.c.evaluations + 1)
    )
    if not counted.rowcount:
        raise DailyQuotaExhausted(
            f"your {most} evaluations of this day (UTC) are used up; come back tomorrow or ask for a larger quota",
            retry_after=(day + 1) * DAY - now,
        )


def _count_query(connection: Connection, tenant: Tenant, circuit: Circuit) -> None:
    place = _place(tenant.id, circuit.model, circuit.segment)
    _ensure_budget(connection, tenant, circuit.model, circuit.segment)
    own, used = connection.execute(
        select(query_budgets.c.budget, query_budgets.c.used).where(*place).with_for_update()
    ).one()
    budget = tenant.quotas.segment_queries if own is None else own
    if budget is not None and used >= budget:
        raise QueryBudgetExhausted(
            f"your {budget} queries to segment {circuit.index} of model {circuit.model!r} are used up; ask the provider for more",
        )
    connection.execute(update(query_budgets).where(*place).values(used=used + 1))


def _ensure_budget(connection: Connection, tenant: Tenant, model: str, segment: tuple[int, int]) -> None:
    place = {"tenant": tenant.id, "model": model, "start": segment[0], "stop": segment[1]}
    insert_if_absent(connection, query_budgets, {**place, "budget": None, "used": 0})


def _place(tenant: str, model: str, segment: tuple[int, int]) -> tuple[ColumnElement[bool], ...]:
    return (
        query_budgets.c.tenant == tenant,
        query_budgets.c.model == model,
        query_budgets.c.start == segment[0],
        query_budgets.c.stop == segment[1],
    )
