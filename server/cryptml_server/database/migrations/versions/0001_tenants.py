"""Tenants, their tokens, keys and usage."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this version's form."""
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
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
        sa.UniqueConstraint("name", name=op.f("uq_tenants_name")),
    )
    op.create_table(
        "daily_usage",
        sa.Column("tenant", sa.String(length=16), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False, comment="days since 1970, UTC"),
        sa.Column("evaluations", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_daily_usage_tenant"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "day", name=op.f("pk_daily_usage")),
    )
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


def downgrade() -> None:
    """Bring them back."""
    op.drop_table("tokens")
    op.drop_table("query_budgets")
    op.drop_table("evaluation_keys")
    op.drop_table("daily_usage")
    op.drop_table("tenants")
