"""What the service's parts are asked for at each scrape of its metrics."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select

from cryptml_server.base.draining import Draining
from cryptml_server.base.metrics import Metrics
from cryptml_server.database import Database, evaluation_keys
from cryptml_server.jobs.store import JobStore
from cryptml_server.workers.pool import WorkerPool
from cryptml_server.workers.protocol import Worker


def observe(
    metrics: Metrics,
    workers: Sequence[Worker],
    pool: WorkerPool,
    jobs: JobStore,
    database: Database,
    draining: Draining,
) -> None:
    """Let the metrics ask workers, queue, jobs and database."""

    def stored() -> tuple[int, int]:
        with database.reading() as connection:
            row = connection.execute(
                select(func.count(), func.coalesce(func.sum(evaluation_keys.c.bytes), 0)).select_from(evaluation_keys)
            ).one()
        return int(row[0]), int(row[1])

    metrics.watch("requests_waiting", "Requests that wait for a worker.", lambda: pool.waiting)
    metrics.watch("workers_alive", "Workers that stand by or evaluate.", lambda: sum(each.alive for each in workers))
    metrics.watch("stored_keys", "Evaluation keys that are stored.", lambda: stored()[0])
    metrics.watch("stored_key_bytes", "Bytes of the evaluation keys that are stored.", lambda: stored()[1])
    metrics.watch("jobs", "Jobs that are kept, by state.", jobs.count, label="state")
    metrics.watch("draining", "1 while the service finishes what it has begun and takes nothing new.", draining.is_set)
