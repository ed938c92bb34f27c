"""The tables, as the migrations leave them. Moments are seconds since 1970, UTC."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

REVISION = "0002"
"""Of these tables: the latest of the migrations."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

NAME = 64
"""Characters of the longest name of a tenant or a model."""

DIGEST = 64
"""Hexadecimal digits of a SHA-256."""

tenants = Table(
    "tenants",
    metadata,
    Column("id", String(16), primary_key=True, comment="random; part of the tenant's tokens"),
    Column("name", String(NAME), nullable=False, unique=True),
    Column("created", Float, nullable=False),
    Column("revoked", Float, comment="since when nothing is answered; null while it is"),
    Column("key_bytes", BigInteger, nullable=False, comment="quota: all stored evaluation keys together"),
    Column("keys", BigInteger, nullable=False, comment="quota: stored evaluation keys"),
    Column("concurrent_evaluations", BigInteger, nullable=False, comment="quota"),
    Column("daily_evaluations", BigInteger, nullable=False, comment="quota: of one day, UTC"),
    Column("segment_queries", BigInteger, comment="budget of every segment without one of its own; null for none"),
    Column("jobs", BigInteger, nullable=False, server_default="256", comment="quota: kept at once"),
    Column(
        "daily_upload_bytes",
        BigInteger,
        nullable=False,
        server_default=str(16 << 30),
        comment="quota: of one day, UTC",
    ),
)

tokens = Table(
    "tokens",
    metadata,
    Column("tenant", ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True),
    Column("salt", LargeBinary(16), primary_key=True),
    Column(
        "digest", LargeBinary(32), nullable=False, comment="SHA-256 of salt and secret; the secret itself is nowhere"
    ),
    Column("created", Float, nullable=False),
    Column("expires", Float, comment="null for never"),
)

evaluation_keys = Table(
    "evaluation_keys",
    metadata,
    Column("tenant", ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True),
    Column("key_set", String(DIGEST), primary_key=True),
    Column("digest", String(DIGEST), primary_key=True),
    Column("file", String(32), nullable=False, comment="random name in the tenant's folder"),
    Column("bytes", BigInteger, nullable=False),
    Column("created", Float, nullable=False),
    Column("last_used", Float, nullable=False),
)

daily_usage = Table(
    "daily_usage",
    metadata,
    Column("tenant", ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True),
    Column("day", Integer, primary_key=True, comment="days since 1970, UTC"),
    Column("evaluations", BigInteger, nullable=False),
    Column("upload_bytes", BigInteger, nullable=False, server_default="0"),
)

query_budgets = Table(
    "query_budgets",
    metadata,
    Column("tenant", ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True),
    Column("model", String(NAME), primary_key=True),
    Column("start", Integer, primary_key=True, comment="first layer of the segment"),
    Column("stop", Integer, primary_key=True, comment="layer behind its last"),
    Column("budget", BigInteger, comment="queries, ever; null where the tenant's own counts"),
    Column("used", BigInteger, nullable=False),
)

replicas = Table(
    "replicas",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("beat", BigInteger, nullable=False, comment="grows while it runs, whatever its clock says"),
    Column("workers", Integer, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column(
        "number",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
        comment="in the order of their coming, whatever the clock says",
    ),
    Column("id", String(32), nullable=False, unique=True, comment="random"),
    Column("tenant", ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False),
    Column("model", String(NAME), nullable=False),
    Column("segment", Integer, nullable=False, comment="number among the model's server segments"),
    Column("circuit", String(DIGEST), nullable=False),
    Column("key_digest", String(DIGEST), nullable=False, comment="of the evaluation keys"),
    Column("idempotency_key", String(64), comment="the client's own name for it"),
    Column("request", String(DIGEST), nullable=False, comment="SHA-256 of all that was asked"),
    Column("state", String(8), nullable=False, comment="waiting, running, done or failed"),
    Column("replica", String(32), comment="that runs it"),
    Column("claim", String(32), comment="random: which of its runs that is"),
    Column("begun", Integer, nullable=False, comment="how often"),
    Column("created", Float, nullable=False),
    Column("finished", Float),
    Column("day", Integer, nullable=False, comment="whose quota it counts for"),
    Column("evaluate_ms", Float),
    Column("problem", String, comment="JSON: why it failed"),
    UniqueConstraint("tenant", "idempotency_key"),
    Index("ix_jobs_state", "state", "tenant", "number"),
)

job_bodies = Table(
    "job_bodies",
    metadata,
    Column("job", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("ciphertext", LargeBinary, nullable=False, comment="the input until it is done, then the output"),
)
