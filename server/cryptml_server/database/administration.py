"""The database as its operator opens it: for a service, for a command, to bring its tables to this version's form."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cryptml.errors import SettingError
from cryptml_server.base.settings import Settings
from cryptml_server.database.engine import Database, DatabaseUnavailable


@contextmanager
def answering() -> Iterator[None]:
    """Say in one sentence that the database does not answer, whoever works with it until the end of the block.

    Raises:
        SettingError: In the place of `DatabaseUnavailable`.
    """
    try:
        yield
    except DatabaseUnavailable as error:
        raise SettingError(
            "the database does not answer, or cannot be written; check its address, that it runs and that there is room"
        ) from error


def open_database(settings: Settings) -> Database:
    """Return the service's database: an embedded one brought to this version's form, any other found in it.

    Raises:
        SettingError: If it cannot be used, or its tables are of another version.
    """
    database = Database(settings.database_url)
    with answering():
        if database.is_embedded:
            database.upgrade()
        else:
            database.require_current()
    return database


def upgrade_database(settings: Settings) -> None:
    """Make the tables of a database that is not embedded, or bring them to this version's form; its services are stopped.

    Raises:
        SettingError: If the settings name no such database, or it does not answer.
    """
    if settings.database is None:
        raise SettingError("no database is given; set CRYPTML_DATABASE. An embedded one needs no upgrade by hand")
    database = Database(settings.database)
    try:
        with answering():
            database.upgrade()
    finally:
        database.close()
