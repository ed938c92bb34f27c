"""One service under one fault, and what became of its jobs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from cryptml_server.base.settings import Settings
from cryptml_server.database import Database
from cryptml_server.database.administration import open_database
from cryptml_server.tenancy.tenants import Quotas

from benchmarks.machine import children
from benchmarks.requester import Requester, add_tenants, build, connect
from cryptml.errors import CryptmlError
from cryptml.networks import IntArray, load_network
from cryptml.verification.local_service import LocalService, local_service

MANY = Quotas(concurrent_evaluations=1000, daily_evaluations=1_000_000, jobs=100_000)
PATIENCE_SECONDS = 240.0
TENANTS = 12
"""A tenant in whose requests ten workers are lost within ten minutes has to wait; these take turns."""


class Clinic(Requester):
    """The tenants of one service, with keys, ciphertexts and what they decrypt to."""

    def __init__(self, work: Path) -> None:
        super().__init__(build("tiny", "SSSSS", work / "bundle"), "tiny")
        network = load_network("tiny")
        reads = network.boundaries[0]
        draw = np.random.default_rng(3)
        self.questions: list[tuple[bytes, IntArray]] = []
        for _ in range(8):
            values = draw.integers(reads.low, reads.high + 1, (1, *reads.shape))
            self.questions.append((self.client.encrypt(values), network.run(values)))

    def add_tenants(self, database: Database) -> list[str]:
        """Return tokens of as many tenants as there are."""
        return add_tenants(database, (f"clinic{number}" for number in range(TENANTS)), MANY)


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
        return connect(running.url, token, 60)

    def upload(self, running: LocalService, tokens: list[str]) -> None:
        """Let tenants upload their keys."""
        for token in tokens:
            with self.http(running, token) as http:
                self.clinic.store_keys(http).raise_for_status()

    def submit(self, running: LocalService, token: str) -> str | None:
        """Ask for a job, and return its name; None where it was refused, or nobody answered."""
        number = self._asked % len(self.clinic.questions)
        self._asked += 1
        head = {**self.clinic.names, "Prefer": "respond-async"}
        try:
            with self.http(running, token) as http:
                body = self.clinic.questions[number][0]
                answer = http.post(self.clinic.evaluations_path, content=body, headers=head)
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
        return children(running.pid)

    def _watch(self, pid: int, stop: threading.Event) -> None:
        while not stop.wait(0.05):
            self._children |= set(children(pid))

    def _alive(self) -> list[int]:
        return [pid for pid in self._children if _is_worker(pid)]


def _is_worker(pid: int) -> bool:
    with suppress(OSError):
        return b"cryptml_server.workers.process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
