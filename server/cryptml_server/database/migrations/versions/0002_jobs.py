"""Jobs, the replicas that run them, and quotas of both jobs and uploads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this version's form."""
    with op.batch_alter_table("tenants") as table:
        table.add_column(
            sa.Column("jobs", sa.BigInteger(), nullable=False, server_default="256", comment="quota: kept at once")
        )
        table.add_column(
            sa.Column(
                "daily_upload_bytes",
                sa.BigInteger(),
                nullable=False,
                server_default=str(16 << 30),
                comment="quota: of one day, UTC",
            )
        )
    with op.batch_alter_table("daily_usage") as table:
        table.add_column(sa.Column("upload_bytes", sa.BigInteger(), nullable=False, server_default="0"))
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


def downgrade() -> None:
    """Bring them back."""
    op.drop_table("job_bodies")
    op.drop_index(op.f("ix_jobs_state"), table_name="jobs")
    op.drop_table("jobs")
    op.drop_table("replicas")
    with op.batch_alter_table("daily_usage") as table:
        table.drop_column("upload_bytes")
    with op.batch_alter_table("tenants") as table:
        table.drop_column("daily_upload_bytes")
        table.drop_column("jobs")
