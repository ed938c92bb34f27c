"""What the service remembers: tenants, evaluation keys, usage, jobs. SQLite without any set-up, or PostgreSQL."""

from cryptml_server.database.engine import Database, DatabaseUnavailable, insert_if_absent
from cryptml_server.database.schema import (
    daily_usage,
    evaluation_keys,
    job_bodies,
    jobs,
    query_budgets,
    replicas,
    tenants,
    tokens,
)

__all__ = [
    "Database",
    "DatabaseUnavailable",
    "daily_usage",
    "evaluation_keys",
    "insert_if_absent",
    "job_bodies",
    "jobs",
    "query_budgets",
    "replicas",
    "tenants",
    "tokens",
]
