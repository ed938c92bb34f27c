"""The tables of the service: made at once, or by migrations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptml_server.database import Database, DatabaseUnavailable
from cryptml_server.database.migration import latest_revision, migrate
from cryptml_server.database.schema import REVISION
from sqlalchemy import create_engine, inspect, text

from cryptml.errors import SettingError


def tables(file: Path) -> dict[str, Any]:
    """Everything that the database says of its tables."""
    found = inspect(create_engine(f"sqlite:///{file}"))
    return {
        name: {
            "columns": [{**column, "type": str(column["type"])} for column in found.get_columns(name)],
            "primary key": found.get_pk_constraint(name)["constrained_columns"],
            "foreign keys": sorted(map(str, found.get_foreign_keys(name))),
            "indices": sorted(map(str, found.get_indexes(name))),
            "unique": sorted(map(str, found.get_unique_constraints(name))),
            "checks": sorted(map(str, found.get_check_constraints(name))),
        }
        for name in found.get_table_names()
    }


def test_tables_made_at_once_are_those_of_all_migrations(tmp_path: Path) -> None:
    at_once, migrated = Database(f"sqlite:///{tmp_path}/a.db"), Database(f"sqlite:///{tmp_path}/b.db")
    at_once.upgrade()
    with migrated.writing() as connection:
        migrate(connection)
    assert latest_revision() == REVISION
    assert len(tables(tmp_path / "a.db")) == 9
    assert tables(tmp_path / "a.db") == tables(tmp_path / "b.db")
    for database in (at_once, migrated):
        database.require_current()
        database.upgrade()
        database.close()


def test_other_versions(tmp_path: Path) -> None:
    revision = "9999"
    database = Database(f"sqlite:///{tmp_path}/a.db")
    with pytest.raises(SettingError, match="of version none, this program needs"):
        database.require_current()
    database.upgrade()
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    with pytest.raises(SettingError, match=f"of version {revision}, this program needs {REVISION}"):
        database.require_current()
    with pytest.raises(SettingError, match="cannot be brought to this version's form"):
        database.upgrade()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/a.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE tenants (id INTEGER)"))
    with pytest.raises(DatabaseUnavailable, match="tenants already exists"):
        Database(f"sqlite:///{tmp_path}/a.db").upgrade()
