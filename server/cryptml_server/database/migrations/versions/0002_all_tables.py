"""All tables. Nothing was released before: tables of the versions that led here are refused by name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _make_tenants()
    _make_keys_and_usage()
    _make_replicas_and_jobs()


def downgrade() -> None:
    """Drop them."""
    op.drop_table("job_bodies")
    op.drop_index(op.f("ix_jobs_state"), table_name="jobs")
    for table in ("jobs", "replicas", "query_budgets", "evaluation_keys", "daily_usage", "tokens", "tenants"):
        op.drop_table(table)


def _make_tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(length=16), nullable=False, comment="random; part of the tenant's tokens"),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("revoked", sa.Float(), nullable=True, comment="since when nothing is answered; null while it is"),
        sa.Column("key_bytes", sa.BigInteger(), nullable=False, comment="quota: all stored evaluation keys together"),
        sa.Column("keys", sa.BigInteger(), nullable=False, comment="quota: stored evaluation keys"),
        sa.Column("concurrent_evaluations", sa.BigInteger(), nullable=False, comment="quota"),
        sa.Column("daily_evaluations", sa.BigInteger(), nullable=False, comment="quota: of one day, UTC"),
        sa.Column(
            "segment_queries",
            sa.BigInteger(),
            nullable=True,
            comment="budget of every segment without one of its own; null for none",
        ),
        sa.Column("jobs", sa.BigInteger(), nullable=False, server_default="256", comment="quota: kept at once"),
        sa.Column(
            "daily_upload_bytes",
            sa.BigInteger(),
            nullable=False,
            server_default=str(16 << 30),
            comment="quota: of one day, UTC",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
        sa.UniqueConstraint("name", name=op.f("uq_tenants_name")),
    )
    op.create_table(
        "tokens",
        sa.Column("tenant", sa.String(length=16), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=16), nullable=False),
        sa.Column(
            "digest",
            sa.LargeBinary(length=32),
            nullable=False,
            comment="SHA-256 of salt and secret; the secret itself is nowhere",
        ),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("expires", sa.Float(), nullable=True, comment="null for never"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_tokens_tenant"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "salt", name=op.f("pk_tokens")),
    )


def _make_keys_and_usage() -> None:
    op.create_table(
        "evaluation_keys",
        sa.Column("tenant", sa.String(length=16), nullable=False),
        sa.Column("key_set", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("file", sa.String(length=32), nullable=False, comment="random name in the tenant's folder"),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("last_used", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_evaluation_keys_tenant"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "key_set", "digest", name=op.f("pk_evaluation_keys")),
    )
    op.create_table(
        "daily_usage",
        sa.Column("tenant", sa.String(length=16), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False, comment="days since 1970, UTC"),
        sa.Column("evaluations", sa.BigInteger(), nullable=False),
        sa.Column("upload_bytes", sa.BigInteger(), nullable=False, server_default="0"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_daily_usage_tenant"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "day", name=op.f("pk_daily_usage")),
    )
    op.create_table(
        "query_budgets",
        sa.Column("tenant", sa.String(length=16), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False, comment="first layer of the segment"),
        sa.Column("stop", sa.Integer(), nullable=False, comment="layer behind its last"),
        sa.Column(
            "budget", sa.BigInteger(), nullable=True, comment="queries, ever; null where the tenant's own counts"
        ),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_query_budgets_tenant"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "model", "start", "stop", name=op.f("pk_query_budgets")),
    )


def _make_replicas_and_jobs() -> None:
    op.create_table(
        "replicas",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False, comment="grows while it runs, whatever its clock says"),
        sa.Column("workers", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replicas")),
    )
    op.create_table(
        "jobs",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
            comment="in the order of their coming, whatever the clock says",
        ),
        sa.Column("id", sa.String(length=32), nullable=False, comment="random"),
        sa.Column("tenant", sa.String(length=16), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("segment", sa.Integer(), nullable=False, comment="number among the model's server segments"),
        sa.Column("circuit", sa.String(length=64), nullable=False),
        sa.Column("key_digest", sa.String(length=64), nullable=False, comment="of the evaluation keys"),
        sa.Column("idempotency_key", sa.String(length=64), nullable=True, comment="the client's own name for it"),
        sa.Column("request", sa.String(length=64), nullable=False, comment="SHA-256 of all that was asked"),
        sa.Column("state", sa.String(length=8), nullable=False, comment="waiting, running, done or failed"),
        sa.Column("replica", sa.String(length=32), nullable=True, comment="that runs it"),
        sa.Column("claim", sa.String(length=32), nullable=True, comment="random: which of its runs that is"),
        sa.Column("begun", sa.Integer(), nullable=False, comment="how often"),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("finished", sa.Float(), nullable=True),
        sa.Column("day", sa.Integer(), nullable=False, comment="whose quota it counts for"),
        sa.Column("evaluate_ms", sa.Float(), nullable=True),
        sa.Column("problem", sa.String(), nullable=True, comment="JSON: why it failed"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_jobs_tenant"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_jobs")),
        sa.UniqueConstraint("id", name=op.f("uq_jobs_id")),
        sa.UniqueConstraint("tenant", "idempotency_key", name=op.f("uq_jobs_tenant")),
    )
    op.create_index(op.f("ix_jobs_state"), "jobs", ["state", "tenant", "number"])
    op.create_table(
        "job_bodies",
        sa.Column("job", sa.String(length=32), nullable=False),
        sa.Column(
            "ciphertext", sa.LargeBinary(), nullable=False, comment="the input until it is done, then the output"
        ),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name=op.f("fk_job_bodies_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job", name=op.f("pk_job_bodies")),
    )
