"""What tests of the service share: a database of either kind, and a PostgreSQL server of their own where one is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptml_server.app import open_database
from cryptml_server.database import Database
from cryptml_server.settings import Settings

from cryptml.errors import SettingError

START_SECONDS = 60


def binaries() -> Path | None:
    """The folder of PostgreSQL's programs, which Debian keeps off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """Return what makes an empty database and gives its address; the server is real, ends with the session, and listens on no port."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed here; Debian's package postgresql has it")
    # It refuses to run as root, and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    owner = "postgres" if os.geteuid() == 0 else None
    if owner:
        shutil.chown(folder, owner)

    def run(*command: str) -> None:
        subprocess.run([str(programs / command[0]), *command[1:]], check=True, capture_output=True, user=owner, cwd="/")

    data = folder / "data"
    run("initdb", "--pgdata", str(data), "--auth", "trust", "--username", "tests", "--no-sync")
    options = ["-D", str(data), "-k", str(folder), "-c", "listen_addresses=", "-c", "max_connections=200"]
    server = subprocess.Popen(
        [str(programs / "postgres"), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=owner,
        cwd="/",
    )
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run([str(programs / "pg_isready"), "-q", "-h", str(folder)], check=False).returncode:
        assert server.poll() is None, "PostgreSQL ended at once"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    made = 0

    def make() -> str:
        nonlocal made
        made += 1
        run("createdb", "-h", str(folder), "-U", "tests", f"test{made}")
        return f"postgresql+psycopg://tests@/test{made}?host={folder}"

    yield make
    server.terminate()
    server.wait(START_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)


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
