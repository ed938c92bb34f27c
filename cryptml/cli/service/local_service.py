"""A service of one's own, for demonstrations and measurements over real HTTP."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue

from cryptml.errors import MeasurementError, ServiceUnavailable
from cryptml.processes.memory import peak_resident_bytes

START_SECONDS = 120.0

OWN = "CRYPTML_"
"""A service for demonstrations takes nothing of the settings of one that is deployed, least of all its database."""

QUICK = {"CRYPTML_DRAIN_SECONDS": "5"}
"""Nobody waits for what it is at when it is stopped."""


@dataclass(frozen=True)
class LocalService:
    """A running service.

    Attributes:
        url: Its address.
        pid: Of its process.
    """

    url: str
    pid: int

    def worker_peak_bytes(self) -> int:
        """Return the most memory that its worker process, which evaluates, has held.

        Raises:
            MeasurementError: If the worker is gone or the system does not say.
        """
        children = Path(f"/proc/{self.pid}/task").glob("*/children")
        workers = [int(pid) for path in children for pid in path.read_text().split()]
        if len(workers) != 1:
            raise MeasurementError(f"the service has {len(workers)} child processes, expected its worker alone")
        return peak_resident_bytes(workers[0])


@contextmanager
def local_service(
    bundles: list[Path], data: Path, settings: Mapping[str, str] | None = None, *, anonymous: bool = True
) -> Iterator[LocalService]:
    """Run ``cryptml serve`` on a free loopback port in a process of its own, and stop it at the end.

    Args:
        bundles: What it serves.
        data: Where it keeps evaluation keys.
        settings: Environment variables (``CRYPTML_...``); none of this process's own are taken.
        anonymous: Whether it answers without tokens: it listens on loopback alone.

    Raises:
        ServiceUnavailable: If it ends or does not listen in time, with what it said last.
    """
    command = [
        sys.executable,
        "-m",
        "cryptml",
        "serve",
        *map(str, bundles),
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--data",
        str(data),
    ]
    command += ["--insecure-anonymous"] if anonymous else []
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(OWN)},
            **QUICK,
            **(settings or {}),
        },
    )
    try:
        yield LocalService(_wait_for_address(process), process.pid)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _wait_for_address(process: subprocess.Popen[str]) -> str:
    lines: Queue[str | None] = Queue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line.rstrip())
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + START_SECONDS
    last = "it said nothing"
    while True:
        try:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            raise ServiceUnavailable(
                f"the service did not start within {START_SECONDS:g} s; its last words: {last}"
            ) from None
        if line is None:
            raise ServiceUnavailable(f"the service ended before it listened; its last words: {last}")
        found = re.search(r"\bat (https?://\S+)$", line)
        if found:
            return found[1]
        last = line or last
