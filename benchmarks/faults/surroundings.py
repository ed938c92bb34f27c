"""Faults of what a service relies on: database, disk, clock, connections."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
from cryptml_server.base.settings import DATABASE_FILE

from benchmarks.faults.trial import TENANTS, Trial
from benchmarks.postgresql import PostgreSQL
from cryptml.errors import CryptmlError
from cryptml.verification.local_service import LocalService

AWAY_SECONDS = 10.0
CONNECTIONS = 200
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def _with_jobs_beside(trial: Trial, running: LocalService, fault: Callable[[], None]) -> None:
    """Let a fault happen while jobs are asked for, before, during and after."""
    over = threading.Event()

    def ask() -> None:
        number = 0
        while not over.is_set():
            trial.submit(running, trial.tokens[number % TENANTS])
            number += 1
            time.sleep(0.4)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(1)
    try:
        fault()
        time.sleep(1)
    finally:
        over.set()
        asking.join()


def lock_database(trial: Trial, times: int) -> None:
    """Hold the embedded database's lock for ten seconds."""

    def lock() -> None:
        connection = sqlite3.connect(trial.data / DATABASE_FILE, isolation_level=None, timeout=30)
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(AWAY_SECONDS)
        connection.execute("ROLLBACK")
        connection.close()

    with trial.service() as running:
        trial.upload(running, trial.tokens)
        for _ in range(times):
            _with_jobs_beside(trial, running, lock)
        trial.check(running)


def lose_database(server: PostgreSQL) -> Callable[[Trial, int], None]:
    """Return what kills PostgreSQL, and starts it again ten seconds later."""

    def lose() -> None:
        server.kill()
        time.sleep(AWAY_SECONDS)
        server.start()

    def run(trial: Trial, times: int) -> None:
        with trial.service() as running:
            trial.upload(running, trial.tokens)
            for _ in range(times):
                _with_jobs_beside(trial, running, lose)
            trial.check(running)

    return run


def fill_disk(trial: Trial, times: int) -> None:
    """Fill the disk of the data folder while a key is written, and make room again."""
    filler = trial.data / "filler"
    with trial.service() as running:
        trial.upload(running, trial.tokens[:1])
        for number in range(times):
            token = trial.tokens[1 + number % (TENANTS - 1)]
            trial.submit(running, trial.tokens[0])
            room = os.statvfs(trial.data)
            size = room.f_bavail * room.f_frsize - len(trial.clinic.keys.evaluation_keys) // 2
            with filler.open("wb") as stream:
                os.posix_fallocate(stream.fileno(), 0, size)
            with trial.http(running, token) as http:
                answer = trial.clinic.store_keys(http)
                if answer.status_code != 507:
                    raise CryptmlError(f"a full disk was answered with {answer.status_code}: {answer.text[:200]}")
            trial.submit(running, trial.tokens[0])
            trial.tally.leftovers += len(list((trial.data / "evaluation-keys").rglob(".upload-*")))
            filler.unlink()
            trial.upload(running, [token])
            trial.submit(running, token)
            with trial.http(running, token) as http:
                trial.wait_for(running, token, trial.tally.accepted[-1][0], ("done", "failed"))
                http.delete(trial.clinic.keys_path, params={"segment": 0})
        trial.check(running)


def step_clock(trial: Trial, times: int) -> None:
    """Put the service's clock a day forwards and backwards, by what libfaketime reads from a file."""
    file = Path(trial.variables["FAKETIME_TIMESTAMP_FILE"])

    def step() -> None:
        for shift in ("+1d", "+0", "-1d", "+0"):
            file.write_text(shift)
            time.sleep(1.5)

    with trial.service() as running:
        trial.upload(running, trial.tokens)
        for _ in range(times):
            _with_jobs_beside(trial, running, step)
        trial.check(running)


def hang_connections(trial: Trial, times: int) -> None:
    """Open connections that send half a request, or a byte now and then, or nothing, while others ask."""
    with trial.service() as running:
        trial.upload(running, trial.tokens)
        address = ("127.0.0.1", httpx.URL(running.url).port or 0)
        head = f"POST {trial.clinic.evaluations_path} HTTP/1.1\r\nHost: {address[0]}\r\n".encode()
        for _ in range(times):
            with ExitStack() as stack:
                opened = [stack.enter_context(socket.create_connection(address)) for _ in range(CONNECTIONS)]
                for number, each in enumerate(opened):
                    each.sendall((b"", head, head + b"Content-Length: 5000\r\n\r\n", b"G")[number % 4])

                def drip(connections: list[socket.socket] = opened) -> None:
                    for _ in range(10):
                        for each in connections[1::4]:
                            with suppress(OSError):
                                each.sendall(b"X")
                        time.sleep(0.5)

                _with_jobs_beside(trial, running, drip)
        trial.check(running)


@contextmanager
def small_disk(work: Path, megabytes: int) -> Iterator[Path | None]:
    """Give a folder on a disk of its own, in memory; None where that is not allowed."""
    folder = work / "small-disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)
