"""What tenants have used, against what they may: evaluations at once and of a day, queries to a segment."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update
from starlette.concurrency import run_in_threadpool

from cryptml_server.database import Database, daily_usage, insert_if_absent, query_budgets
from cryptml_server.models import Circuit
from cryptml_server.problems import Problem
from cryptml_server.tenants import Tenant

DAY = 86_400
UNANSWERED = 500
"""From this status on, it was not the client's fault that there is no answer."""


class UsageMeter:
    """Counts evaluations, and refuses those beyond a quota or a budget.

    An evaluation counts from the moment it is let in, whether the client waits for its answer or not; one that failed by the service's own
    fault does not.

    Args:
        database: Holds the counts, but for evaluations under way, which are this process's own.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._under_way: Counter[str] = Counter()

    @asynccontextmanager
    async def evaluation(self, tenant: Tenant, circuit: Circuit) -> AsyncIterator[None]:
        """Let one evaluation in, and count it as under way until the end of the block.

        Raises:
            Problem: 429 beyond a quota, with the time after which there is room again; 403 where a query budget is used up.
        """
        most = tenant.quotas.concurrent_evaluations
        with self._lock:
            if self._under_way[tenant.id] >= most:
                raise Problem(
                    429,
                    "Too many evaluations at once",
                    f"{most} evaluations of yours wait or run, which is your quota; wait for one of them",
                    retry_after=1,
                )
            self._under_way[tenant.id] += 1
        try:
            await run_in_threadpool(self._count, tenant, circuit)
            try:
                yield
            except Problem as problem:
                if problem.status >= UNANSWERED:
                    await run_in_threadpool(self._take_back, tenant, circuit)
                raise
        finally:
            with self._lock:
                self._under_way[tenant.id] -= 1
                if not self._under_way[tenant.id]:
                    del self._under_way[tenant.id]

    def _count(self, tenant: Tenant, circuit: Circuit) -> None:
        with self._database.transaction() as connection:
            _count_day(connection, tenant)
            _count_query(connection, tenant, circuit)

    def _take_back(self, tenant: Tenant, circuit: Circuit) -> None:
        with self._database.transaction() as connection:
            day = daily_usage.c.tenant == tenant.id, daily_usage.c.day == int(time.time()) // DAY
            connection.execute(
                update(daily_usage)
                .where(*day, daily_usage.c.evaluations > 0)
                .values(evaluations=daily_usage.c.evaluations - 1)
            )
            connection.execute(
                update(query_budgets)
                .where(*_place(tenant, circuit.model, circuit.segment), query_budgets.c.used > 0)
                .values(used=query_budgets.c.used - 1)
            )

    def set_budget(self, tenant: Tenant, model: str, segment: tuple[int, int], budget: int | None) -> None:
        """Give a tenant a budget of queries to one segment; None takes its own budget away again.

        Args:
            tenant: Whose.
            model: Name of the model.
            segment: First layer, and the one behind the last.
            budget: Queries, ever, those before included.
        """
        with self._database.transaction() as connection:
            _ensure_budget(connection, tenant, model, segment)
            connection.execute(update(query_budgets).where(*_place(tenant, model, segment)).values(budget=budget))

    def budgets(self, tenant: Tenant) -> list[dict[str, Any]]:
        """Return what a tenant has asked of each segment that it asked, or has a budget for."""
        with self._database.transaction() as connection:
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
        with self._database.transaction() as connection:
            day = int(time.time()) // DAY
            found = connection.execute(
                select(daily_usage.c.evaluations).where(daily_usage.c.tenant == tenant.id, daily_usage.c.day == day)
            ).scalar()
            return int(found or 0)


def _count_day(connection: Connection, tenant: Tenant) -> None:
    now = int(time.time())
    day, most = now // DAY, tenant.quotas.daily_evaluations
    place = (daily_usage.c.tenant == tenant.id, daily_usage.c.day == day)
    insert_if_absent(connection, daily_usage, {"tenant": tenant.id, "day": day, "evaluations": 0})
    counted = connection.execute(
        update(daily_usage)
        .where(*place, daily_usage.c.evaluations < most)
        .values(evaluations=daily_usage.c.evaluations + 1)
    )
    if not counted.rowcount:
        raise Problem(
            429,
            "Daily quota used up",
            f"your {most} evaluations of this day (UTC) are used up; come back tomorrow or ask for a larger quota",
            retry_after=(day + 1) * DAY - now,
        )


def _count_query(connection: Connection, tenant: Tenant, circuit: Circuit) -> None:
    place = _place(tenant, circuit.model, circuit.segment)
    _ensure_budget(connection, tenant, circuit.model, circuit.segment)
    own, used = connection.execute(
        select(query_budgets.c.budget, query_budgets.c.used).where(*place).with_for_update()
    ).one()
    budget = tenant.quotas.segment_queries if own is None else own
    if budget is not None and used >= budget:
        raise Problem(
            403,
            "Query budget used up",
            f"your {budget} queries to segment {circuit.index} of model {circuit.model!r} are used up; ask the provider for more",
        )
    connection.execute(update(query_budgets).where(*place).values(used=used + 1))


def _ensure_budget(connection: Connection, tenant: Tenant, model: str, segment: tuple[int, int]) -> None:
    place = {"tenant": tenant.id, "model": model, "start": segment[0], "stop": segment[1]}
    insert_if_absent(connection, query_budgets, {**place, "budget": None, "used": 0})


def _place(tenant: Tenant, model: str, segment: tuple[int, int]) -> tuple[ColumnElement[bool], ...]:
    return (
        query_budgets.c.tenant == tenant.id,
        query_budgets.c.model == model,
        query_budgets.c.start == segment[0],
        query_budgets.c.stop == segment[1],
    )
