"""What faults do to a service: killed workers, a killed service, a database that is locked or gone, a full disk, a stepped clock,
connections that hang. Jobs are accepted all the while; in the end every one is counted, fetched and compared.

python -m benchmarks.faults [--quick]
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import httpx
import numpy as np
from cryptml_server.app import open_database
from cryptml_server.base.settings import DATABASE_FILE, Settings
from cryptml_server.database import Database
from cryptml_server.tenancy.tenants import Quotas, TenantStore

from benchmarks.postgresql import PostgreSQL, find_programs
from cryptml.bundle import ClientBundle
from cryptml.bundle.build import build_bundle
from cryptml.cli.service.local_service import LocalService, local_service
from cryptml.errors import CryptmlError
from cryptml.fhe.backends.integer import compile_integer_program
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.files import sha256
from cryptml.networks import load_network
from cryptml.profiler.measure.machine import describe_machine
from cryptml.splits import Split

MANY = Quotas(concurrent_evaluations=1000, daily_evaluations=1_000_000, jobs=100_000)
PATIENCE_SECONDS = 240.0
TENANTS = 12
"""A tenant in whose requests ten workers are lost within ten minutes has to wait; these take turns."""

AWAY_SECONDS = 10.0
CONNECTIONS = 200
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


class Clinic:
    """The tenants of one service, with keys, ciphertexts and what they decrypt to."""

    def __init__(self, work: Path) -> None:
        network = load_network("tiny")
        self.bundle = build_bundle(network, Split("SSSSS"), work / "bundle", backend=compile_integer_program)
        (step,) = ClientBundle.load(self.bundle.folder / "client").server_steps
        self.keys = KeySet.generate(step.circuit)
        self.client = ClientCircuit(step.circuit, self.keys)
        self.identity = sha256(step.circuit.client_specs)
        reads = network.boundaries[0]
        draw = np.random.default_rng(3)
        self.questions: list[tuple[bytes, np.ndarray]] = []
        for _ in range(8):
            values = draw.integers(reads.low, reads.high + 1, (1, *reads.shape))
            self.questions.append((self.client.encrypt(values), network.run(values)))

    def add_tenants(self, database: Database) -> list[str]:
        """Return tokens of as many tenants as there are."""
        return [TenantStore(database).add(f"clinic{number}", MANY)[1] for number in range(TENANTS)]

    @property
    def path(self) -> str:
        """Of the evaluation keys."""
        return f"/v1/models/tiny/evaluation-keys/{self.keys.digest}"


@dataclass
class Tally:
    """What became of the jobs of one fault.

    Attributes:
        accepted: Job, token and question of each that was answered with 202.
    """

    accepted: list[tuple[str, str, int]] = field(default_factory=list)
    refused: int = 0
    lost: int = 0
    wrong: int = 0
    twice: int = 0
    orphans: int = 0
    leftovers: int = 0

    def row(self, fault: str, times: int) -> str:
        """Return the row of a table."""
        found = (len(self.accepted), self.refused, self.lost, self.twice, self.wrong, self.orphans, self.leftovers)
        return f"| {fault} | {times} | {' | '.join(map(str, found))} |"

    @property
    def bad(self) -> bool:
        """Whether anything is there that must not be."""
        return any((self.lost, self.twice, self.wrong, self.orphans, self.leftovers)) or not self.accepted


class Trial:
    """One service under one fault: it may be killed and started again in its folder.

    Args:
        clinic: Who asks.
        data: Of the service; empty.
        database: Address, where it is not the embedded one.
        variables: More settings.
    """

    def __init__(
        self, clinic: Clinic, data: Path, database: str | None = None, variables: dict[str, str] | None = None
    ) -> None:
        self.clinic, self.data, self.tally = clinic, data, Tally()
        self.variables = {
            "CRYPTML_WAITING_JOBS": "10000",
            "CRYPTML_STORED_KEY_BYTES": str(8 << 30),
            **(variables or {}),
        }
        if database is not None:
            self.variables["CRYPTML_DATABASE"] = database
        opened = open_database(Settings(data=data)) if database is None else Database(database)
        if database is not None:
            opened.upgrade()
        self.tokens = clinic.add_tenants(opened)
        opened.close()
        self._children: set[int] = set()
        self._asked = 0

    @contextmanager
    def service(self) -> Iterator[LocalService]:
        """Run the service for a while; afterwards none of its processes may be there."""
        with local_service([self.clinic.bundle.folder], self.data, self.variables, anonymous=False) as running:
            stop = threading.Event()
            watching = threading.Thread(target=self._watch, args=(running.pid, stop))
            watching.start()
            try:
                yield running
            finally:
                stop.set()
                watching.join()
        deadline = time.monotonic() + 5
        while self._alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.tally.orphans += len(self._alive())
        self._children.clear()

    def http(self, running: LocalService, token: str) -> httpx.Client:
        """Return a connection of a tenant."""
        return httpx.Client(base_url=running.url, timeout=60, headers={"Authorization": f"Bearer {token}"})

    def upload(self, running: LocalService, tokens: list[str]) -> None:
        """Let tenants upload their keys."""
        for token in tokens:
            with self.http(running, token) as http:
                head = {"CryptML-Circuit": self.clinic.identity}
                body = self.clinic.keys.evaluation_keys
                http.put(self.clinic.path, params={"segment": 0}, content=body, headers=head).raise_for_status()

    def submit(self, running: LocalService, token: str) -> str | None:
        """Ask for a job, and return its name; None where it was refused, or nobody answered."""
        number = self._asked % len(self.clinic.questions)
        self._asked += 1
        head = {
            "CryptML-Circuit": self.clinic.identity,
            "CryptML-Evaluation-Keys": self.clinic.keys.digest,
            "Prefer": "respond-async",
        }
        try:
            with self.http(running, token) as http:
                body = self.clinic.questions[number][0]
                answer = http.post("/v1/models/tiny/segments/0/evaluations", content=body, headers=head)
        except httpx.TransportError:
            self.tally.refused += 1
            return None
        if answer.status_code != 202:
            self.tally.refused += 1
            if answer.status_code not in (429, 503, 507):
                raise CryptmlError(f"a job was answered with {answer.status_code}: {answer.text[:200]}")
            return None
        self.tally.accepted.append((answer.json()["job"], token, number))
        return str(answer.json()["job"])

    def wait_for(self, running: LocalService, token: str, job: str, states: tuple[str, ...]) -> str:
        """Return a job's state once it is one of some."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self.http(running, token) as http:
            while time.monotonic() < deadline:
                with suppress(httpx.TransportError):
                    answer = http.get(f"/v1/jobs/{job}")
                    if answer.status_code == 200 and answer.json()["state"] in states:
                        return str(answer.json()["state"])
                time.sleep(0.01)
        raise CryptmlError(f"a job was none of {', '.join(states)} within {PATIENCE_SECONDS:g} s")

    def check(self, running: LocalService) -> None:
        """Fetch what every accepted job came to, twice, and compare it with the network in the clear."""
        for job, token, number in self.tally.accepted:
            self.wait_for(running, token, job, ("done", "failed"))
            with self.http(running, token) as http:
                answers = [http.get(f"/v1/jobs/{job}/result") for _ in range(2)]
            if any(answer.status_code != 200 for answer in answers):
                self.tally.lost += 1
                continue
            self.tally.twice += answers[0].content != answers[1].content
            found = self.clinic.client.decrypt(answers[0].content)
            self.tally.wrong += not np.array_equal(found, self.clinic.questions[number][1])
        names = [job for job, _, _ in self.tally.accepted]
        self.tally.twice += len(names) - len(set(names))
        self.tally.leftovers += len(list((self.data / "evaluation-keys").rglob(".upload-*")))

    def workers(self, running: LocalService) -> list[int]:
        """Return the worker processes."""
        found = Path(f"/proc/{running.pid}/task").glob("*/children")
        with suppress(OSError):
            return [int(pid) for path in found for pid in path.read_text().split()]
        return []

    def _watch(self, pid: int, stop: threading.Event) -> None:
        while not stop.wait(0.05):
            with suppress(OSError):
                for path in Path(f"/proc/{pid}/task").glob("*/children"):
                    self._children |= {int(each) for each in path.read_text().split()}

    def _alive(self) -> list[int]:
        return [pid for pid in self._children if _is_worker(pid)]


def _is_worker(pid: int) -> bool:
    with suppress(OSError):
        return b"cryptml_server.workers.process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def kill_workers(trial: Trial, times: int) -> None:
    """Kill the worker in the middle of an evaluation, again and again."""
    with trial.service() as running:
        trial.upload(running, trial.tokens)
        for number in range(times):
            token = trial.tokens[number % TENANTS]
            job = trial.submit(running, token)
            if job is None:
                raise CryptmlError("a job was refused by a service with nothing to do")
            trial.wait_for(running, token, job, ("running", "done"))
            time.sleep(0.005 * (number % 8))
            for pid in trial.workers(running):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        trial.check(running)


def kill_services(trial: Trial, times: int) -> None:
    """Kill the service with jobs at work and waiting and an upload on its way, and start it again."""
    body = trial.clinic.keys.evaluation_keys
    half = len(body) // 2
    for number in range(times):
        token, other = trial.tokens[number % TENANTS], trial.tokens[(number + 1) % TENANTS]
        with trial.service() as running:
            trial.upload(running, [token])
            jobs = [trial.submit(running, token) for _ in range(3)]
            with trial.http(running, other) as http:
                http.delete(trial.clinic.path, params={"segment": 0})
            sending = threading.Thread(target=_send_slowly, args=(trial, running, other, body[:half]))
            sending.start()
            trial.wait_for(running, token, jobs[0] or "", ("running", "done"))
            time.sleep(0.02 * (number % 5))
            os.kill(running.pid, signal.SIGKILL)
            sending.join()
    with trial.service() as running:
        trial.upload(running, trial.tokens)
        trial.check(running)


def _send_slowly(trial: Trial, running: LocalService, token: str, part: bytes) -> None:
    head = {
        "CryptML-Circuit": trial.clinic.identity,
        "Upload-Offset": "0",
        "Upload-Length": str(len(trial.clinic.keys.evaluation_keys)),
    }

    def blocks() -> Iterator[bytes]:
        for start in range(0, len(part), 1 + len(part) // 50):
            yield part[start : start + 1 + len(part) // 50]
            time.sleep(0.02)

    with suppress(httpx.HTTPError), trial.http(running, token) as http:
        http.patch(trial.clinic.path, params={"segment": 0}, content=blocks(), headers=head)


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
                head = {"CryptML-Circuit": trial.clinic.identity}
                body = trial.clinic.keys.evaluation_keys
                answer = http.put(trial.clinic.path, params={"segment": 0}, content=body, headers=head)
                if answer.status_code != 507:
                    raise CryptmlError(f"a full disk was answered with {answer.status_code}: {answer.text[:200]}")
            trial.submit(running, trial.tokens[0])
            trial.tally.leftovers += len(list((trial.data / "evaluation-keys").rglob(".upload-*")))
            filler.unlink()
            trial.upload(running, [token])
            trial.submit(running, token)
            with trial.http(running, token) as http:
                trial.wait_for(running, token, trial.tally.accepted[-1][0], ("done", "failed"))
                http.delete(trial.clinic.path, params={"segment": 0})
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
        head = f"POST /v1/models/tiny/segments/0/evaluations HTTP/1.1\r\nHost: {address[0]}\r\n".encode()
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


def main() -> int:
    """Try all faults and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the times")
    parser.add_argument("--only", help="one fault, by a part of its name")
    arguments = parser.parse_args()
    out, bad = sys.stdout, False
    machine = describe_machine()
    today = datetime.now(timezone.utc).date().isoformat()
    out.write(f"{machine['cpu']}, {machine['cores']} cores, {platform.system()}, {today}\n\n")
    out.write("| fault | times | jobs accepted | refused | lost | twice | wrong | orphans | files left |\n")
    out.write("|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")

    def attempt(name: str, times: int, act: Callable[[Trial, int], None], make: Callable[[], Trial | None]) -> None:
        nonlocal bad
        if arguments.only and arguments.only not in name:
            return
        trial = make()
        if trial is None:
            out.write(f"| {name} | not tried: this machine does not allow it | | | | | | | |\n")
            return
        times = max(1, times // 10) if arguments.quick else times
        act(trial, times)
        bad = bad or trial.tally.bad
        out.write(trial.tally.row(name, times) + "\n")
        out.flush()

    with tempfile.TemporaryDirectory(prefix="cryptml-faults-") as folder, ExitStack() as stack:
        work = Path(folder)
        clinic = Clinic(work)

        def plain(**variables: str) -> Trial:
            return Trial(clinic, Path(tempfile.mkdtemp(dir=work)), variables=variables)

        attempt("worker killed in an evaluation", 100, kill_workers, plain)
        attempt("service killed with jobs and an upload", 20, kill_services, plain)
        attempt("database locked for 10 s", 3, lock_database, plain)
        programs = find_programs()
        if programs is not None:
            server = PostgreSQL(programs)
            stack.callback(server.stop)
            attempt(
                "PostgreSQL gone for 10 s",
                3,
                lose_database(server),
                lambda: Trial(clinic, Path(tempfile.mkdtemp(dir=work)), server.database()),
            )
        disk = stack.enter_context(small_disk(work, 200 + 2 * TENANTS * (len(clinic.keys.evaluation_keys) >> 20)))
        attempt(
            "disk full while a key is written", 10, fill_disk, lambda: None if disk is None else Trial(clinic, disk)
        )

        def shifted() -> Trial | None:
            if not FAKETIME:
                return None
            file = work / "clock"
            file.write_text("+0")
            return plain(
                LD_PRELOAD=str(FAKETIME[0]),
                FAKETIME_TIMESTAMP_FILE=str(file),
                FAKETIME_NO_CACHE="1",
                FAKETIME_DONT_FAKE_MONOTONIC="1",
            )

        attempt("clock stepped by a day, four times", 3, step_clock, shifted)
        attempt(f"{CONNECTIONS} connections that hang", 3, hang_connections, lambda: plain(CRYPTML_HEAD_SECONDS="3"))
    return int(bad)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CryptmlError as error:
        sys.exit(f"error: {error}")
