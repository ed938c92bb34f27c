"""Runs migrations on the connection that `cryptml_server.database.engine` opened."""

from __future__ import annotations

from alembic import context
from cryptml_server.database.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
