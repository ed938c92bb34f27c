"""A PostgreSQL server of one's own, which can be taken away and brought back; Debian's package ``postgresql`` has its programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

START_SECONDS = 60


class PostgreSQL:
    """A server in a folder of its own, that listens on a socket alone; `stop` removes all of it.

    Args:
        programs: Folder of its programs, as `find_programs` gives it.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # It refuses to run as root, and a socket's path must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._owner = "postgres" if os.geteuid() == 0 else None
        if self._owner:
            shutil.chown(self.folder, self._owner)
        self._run(
            "initdb", "--pgdata", str(self.folder / "data"), "--auth", "trust", "--username", "tests", "--no-sync"
        )
        self._server: subprocess.Popen[bytes] | None = None
        self._made = 0
        self.start()

    def start(self) -> None:
        """Start it, again if need be, and wait until it answers."""
        options = ["-D", str(self.folder / "data"), "-k", str(self.folder)]
        options += ["-c", "listen_addresses=", "-c", "max_connections=200"]
        self._server = subprocess.Popen(
            [str(self._programs / "postgres"), *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._owner,
            cwd="/",
        )
        deadline = time.monotonic() + START_SECONDS
        ready = [str(self._programs / "pg_isready"), "-q", "-h", str(self.folder)]
        while subprocess.run(ready, check=False).returncode:
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("PostgreSQL does not start")
            time.sleep(0.1)

    def kill(self) -> None:
        """End it at once, as a crash would, and all its processes with it."""
        if self._server is not None:
            self._server.send_signal(3)  # SIGQUIT: immediate shutdown, recovery at the next start
            self._server.wait(START_SECONDS)

    def database(self) -> str:
        """Make an empty database and return its address."""
        self._made += 1
        self._run("createdb", "-h", str(self.folder), "-U", "tests", f"test{self._made}")
        return f"postgresql+psycopg://tests@/test{self._made}?host={self.folder}"

    def stop(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, *command: str) -> None:
        program = str(self._programs / command[0])
        subprocess.run([program, *command[1:]], check=True, capture_output=True, user=self._owner, cwd="/")


def find_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, which Debian keeps off the path; None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None
