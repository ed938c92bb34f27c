"""Connections and transactions, the same for SQLite and PostgreSQL."""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InternalError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from cryptml.errors import CryptmlError, SettingError
from cryptml_server.base.private_folders import make_private
from cryptml_server.database.schema import REVISION, metadata

BUSY_SECONDS = 15.0
"""For which a locked database is waited for."""

PROBE_SECONDS = 1.0
"""For which a locked database is waited for by who only asks whether it can be used."""

ALIVE = {"keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 3, "tcp_user_timeout": 15_000}
"""By which a server that is cut off is noticed (libpq's names; seconds, and milliseconds for the last)."""

DIALECTS = ("sqlite", "postgresql")


class DatabaseUnavailable(CryptmlError):
    """The database is locked, full or gone; trying again later can help."""


class Database:
    """A database by its address.

    Args:
        url: SQLAlchemy's, of a dialect in `DIALECTS`; ``postgresql+psycopg://user@host/name``.
        busy_seconds: For which a locked database is waited for, and one that does not answer.

    Raises:
        SettingError: If it is no address of such a database, or its driver is missing.
    """

    def __init__(self, url: str, *, busy_seconds: float = BUSY_SECONDS) -> None:
        try:
            parsed = make_url(url)
            if parsed.get_backend_name() not in DIALECTS:
                raise SettingError(
                    f"a database of kind {parsed.get_backend_name()!r} is not supported; use {' or '.join(DIALECTS)}"
                )
            self.is_embedded = parsed.get_backend_name() == "sqlite"
            if self.is_embedded:
                if not parsed.database or parsed.database == ":memory:":
                    raise SettingError("a database in memory forgets its tenants; give the path of a file")
                _make_private(Path(parsed.database))
                self._engine = create_engine(
                    parsed, connect_args={"timeout": busy_seconds}, pool_size=8, hide_parameters=True
                )
                event.listen(self._engine, "connect", _prepare_embedded)
                event.listen(self._engine, "begin", _begin_embedded)
            else:
                limit = f"{round(busy_seconds * 1000)}ms"
                self._engine = create_engine(
                    parsed,
                    pool_pre_ping=True,
                    pool_timeout=busy_seconds,
                    pool_size=8,
                    hide_parameters=True,
                    connect_args={
                        **ALIVE,
                        "connect_timeout": math.ceil(busy_seconds),
                        "options": f"-c lock_timeout={limit} -c statement_timeout={limit}",
                    },
                )
            self._reading = self._engine.execution_options(reading=True)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise SettingError(
                f"the database's address cannot be used ({type(error).__name__}); write it as sqlite:///FILE or "
                "postgresql+psycopg://USER@HOST/NAME and install the driver"
            ) from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection; all that is done with it becomes durable at the end, or nothing of it does.

        Raises:
            DatabaseUnavailable: If the database is locked, full or gone.
        """
        with _translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that only reads: in an embedded database it waits for no writer.

        Raises:
            DatabaseUnavailable: If the database is gone.
        """
        with _translated(), self._reading.begin() as connection:
            yield connection

    def upgrade(self) -> None:
        """Bring the tables to this version's form.

        Raises:
            SettingError: If it is of a newer version, or no database.
            DatabaseUnavailable: If the database cannot be written.
        """
        try:
            with self.writing() as connection:
                if _revision(connection) == REVISION:
                    return
                if self.is_embedded and not inspect(connection).get_table_names():
                    _create(connection)
                    return
                from cryptml_server.database.migration import migrate  # loads Alembic, which few starts need

                migrate(connection)
        except DatabaseError as error:
            raise cannot_upgrade(error) from error

    def require_current(self) -> None:
        """Refuse tables of another version.

        Raises:
            SettingError: With both versions.
            DatabaseUnavailable: If the database does not answer.
        """
        with self.reading() as connection:
            found = _revision(connection)
        if found != REVISION:
            raise SettingError(
                f"the database's tables are of version {found or 'none'}, this program needs {REVISION}; run cryptml database upgrade"
            )

    def probe(self) -> None:
        """Require that rows can be read and written now, without writing any.

        An embedded database is opened anew for it, because a file that was moved away, or is another's now, still serves those who
        had it open.

        Raises:
            DatabaseUnavailable: If they cannot, within seconds.
        """
        if self.is_embedded:
            self._probe_file()
            return
        with self.writing() as connection:
            connection.execute(text("SELECT 1 FROM replicas LIMIT 1"))
            if connection.execute(text("SHOW transaction_read_only")).scalar_one() == "on":
                raise DatabaseUnavailable("it can only be read")

    def _probe_file(self) -> None:
        file = Path(self._engine.url.database or "").absolute()
        try:
            with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=PROBE_SECONDS)) as connection:
                connection.isolation_level = None
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("SELECT 1 FROM replicas LIMIT 1").fetchone()
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise DatabaseUnavailable(str(error)[:200]) from error

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def cannot_upgrade(error: Exception) -> SettingError:
    """Return what is said of a database whose tables cannot be brought to this version's form."""
    return SettingError(
        f"the database cannot be brought to this version's form ({type(error).__name__}): it is of a newer version, or "
        "no database of this service; check its address, or upgrade the program"
    )


def insert_if_absent(connection: Connection, table: Table, values: Mapping[str, Any]) -> None:
    """Insert a row unless one with its primary key is there; two that do so at once do not disturb each other."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())


def _revision(connection: Connection) -> str | None:
    """The version of the tables; None where there are none, or not of one version."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return str(found[0]) if len(found) == 1 else None


def _create(connection: Connection) -> None:
    """Make the tables of an empty database as all migrations together would (`tests/service/database/test_database.py` compares them)."""
    metadata.create_all(connection)
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": REVISION})


def _prepare_embedded(connection: Any, _: object) -> None:
    """Readers beside one writer, every commit on disk before it returns, and SQLAlchemy in charge of transactions."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_embedded(connection: Connection) -> None:
    """Take the writer's place at once, to write: a reader that becomes a writer half-way could not wait for another."""
    connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("reading") else "BEGIN IMMEDIATE")


def _make_private(file: Path) -> None:
    """Make a database's file for its owner alone; what SQLite makes beside it is as private."""
    try:
        make_private(file.absolute().parent)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise SettingError(
            f"the database {file} cannot be written ({error.strerror}); check folder and owner"
        ) from error


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what a locked, full or absent database raises into one error, the rest of the drivers' errors as they are."""
    try:
        yield
    except (OperationalError, InternalError, PoolTimeout) as error:
        raise DatabaseUnavailable(str(error.__cause__ or type(error).__name__)[:200]) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable(type(error).__name__) from error
        raise
