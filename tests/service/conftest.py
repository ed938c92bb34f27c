"""What tests of the service share: a database of either kind, and a PostgreSQL server of their own where one is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptml_server.base.settings import Settings
from cryptml_server.database import Database
from cryptml_server.database.administration import open_database

from benchmarks.postgresql import PostgreSQL, find_programs
from cryptml.errors import SettingError


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """Return what makes an empty database and gives its address; the server is real, ends with the session, and listens on no port."""
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed here; Debian's package postgresql has it")
    server = PostgreSQL(programs)
    yield server.database
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        opened = open_database(Settings(data=tmp_path))
    else:
        opened = Database(request.getfixturevalue("postgresql")())
        with pytest.raises(SettingError, match="run cryptml database upgrade"):
            opened.require_current()
        opened.upgrade()
        opened.require_current()
    yield opened
    opened.close()
