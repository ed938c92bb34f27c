"""Bringing tables of an older version to this one's form, by Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from cryptml_server.database.engine import cannot_upgrade

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(connection: Connection) -> None:
    """Run the migrations that tables lack, within the connection's transaction.

    Raises:
        SettingError: If the tables are of a version that is not known here.
    """
    try:
        command.upgrade(_configuration(connection), "head")
    except CommandError as error:
        raise cannot_upgrade(error) from error


def latest_revision() -> str | None:
    """Return the version that all migrations together lead to."""
    return ScriptDirectory.from_config(_configuration(None)).get_current_head()


def _configuration(connection: Connection | None) -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    configuration.attributes["connection"] = connection
    return configuration
