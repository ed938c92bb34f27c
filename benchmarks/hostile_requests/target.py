"""The service that hostile requests are sent to, and how one is sent."""

from __future__ import annotations

import re
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
from cryptml_server.base.settings import Settings
from cryptml_server.database.administration import open_database
from cryptml_server.tenancy.tenants import Quotas

from benchmarks.requester import Requester, add_tenants, build, connect
from benchmarks.sockets import free_port
from cryptml.errors import CryptmlError
from cryptml.networks import load_network
from cryptml.verification.local_service import LocalService, local_service

WORKERS = 2
INTRUDERS = 3
"""Tenants that send mutated ciphertexts and keys; each is told to wait once it has cost ten workers."""

PATIENCE_SECONDS = 60.0
BRIEF_SECONDS = 0.25
"""After which a request that never ends is left."""

EVALUATION_SECONDS = 5
SETTLE_SECONDS = 60.0
CANARY = b"canary-5f1c0a9e"
V1 = "/v1/models/tiny"
EVALUATIONS = f"{V1}/segments/0/evaluations"


@dataclass
class Answer:
    """What came back.

    Attributes:
        status: Of the first answer; None where the connection was closed without one, or left.
        left: Whether the request was given up by its sender.
        raw: All bytes.
    """

    status: int | None
    left: bool
    raw: bytes

    @property
    def kind(self) -> str:
        """Class of answer: its hundred, but 503 apart, or how the connection ended."""
        if self.status is None:
            return "left" if self.left else "closed"
        if self.status == 503:
            return "503"
        return "other 5xx" if self.status >= 500 else f"{self.status // 100}xx"


@dataclass(frozen=True)
class Shot:
    """A request as it goes over the wire.

    Attributes:
        data: Its bytes.
        brief: Whether it never ends, so that it is left soon.
        forbidden: Whether an answer that it succeeded is wrong.
        secret: Bytes that the answer must not have.
    """

    data: bytes
    brief: bool = False
    forbidden: bool = False
    secret: bytes = CANARY


class Target(Requester):
    """A service of the tiny network, an honest tenant and several others.

    Args:
        work: An empty folder.
    """

    def __init__(self, work: Path) -> None:
        self.work = work
        self.data = work / "service" / "data"
        self.data.mkdir(parents=True)
        super().__init__(build("tiny", "CCSSS", work / "bundle"), "tiny")
        (work / "service" / "secret.txt").write_bytes(CANARY)
        (work / "secret.txt").write_bytes(CANARY)
        self.values = np.ones((1, *self.circuit.reads.shape), dtype=np.int64)
        self.expected = load_network("tiny").run(self.values, self.circuit.segment)
        self.ciphertext = self.client.encrypt(self.values)
        database = open_database(Settings(data=self.data))
        names = ["clinic", *(f"intruder{number}" for number in range(INTRUDERS))]
        self.clinic, *self.intruders = add_tenants(database, names, Quotas(daily_evaluations=1_000_000))
        database.close()
        self.jobs: list[str] = []

    def service(self, stack: ExitStack) -> LocalService:
        """Start the service; everybody stores the same keys, and the honest tenant makes some jobs."""
        self.metrics_port = free_port()
        variables = {
            "CRYPTML_WORKERS": str(WORKERS),
            "CRYPTML_METRICS_PORT": str(self.metrics_port),
            "CRYPTML_EVALUATION_SECONDS": str(EVALUATION_SECONDS),
        }
        running = stack.enter_context(local_service([self.bundle.folder], self.data, variables, anonymous=False))
        self.url = running.url
        parts = urlsplit(running.url)
        self.address = (str(parts.hostname), int(parts.port or 0))
        for token in (self.clinic, *self.intruders):
            with self.http(token) as http:
                self.store_keys(http).raise_for_status()
        with self.http(self.clinic) as http:
            for _ in range(10):
                made = http.post(EVALUATIONS, content=self.ciphertext, headers=self.names | {"Prefer": "respond-async"})
                self.jobs.append(made.raise_for_status().json()["job"])
        return running

    def http(self, token: str) -> httpx.Client:
        """Return a connection of a tenant."""
        return connect(self.url, token, PATIENCE_SECONDS)

    def is_right(self) -> bool:
        """Whether the honest tenant's evaluation decrypts to what the network gives in the clear."""
        deadline = time.monotonic() + SETTLE_SECONDS
        with self.http(self.clinic) as http:
            while True:
                answer = http.post(EVALUATIONS, content=self.ciphertext, headers=self.names)
                if answer.status_code != 503 or time.monotonic() > deadline:
                    break
                time.sleep(1)
        return answer.status_code == 200 and np.array_equal(self.client.decrypt(answer.content), self.expected)

    def lost_workers(self) -> int:
        """Workers that were lost so far, by the service's own metrics."""
        text = httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=PATIENCE_SECONDS).text
        found = re.search(r"^cryptml_workers_lost_total (\S+)$", text, re.MULTILINE)
        if found is None:
            raise CryptmlError("the metrics do not say how many workers were lost")
        return int(float(found[1]))

    def send(self, shot: Shot) -> Answer:
        """Send a request over a connection of its own, and take what comes until it is closed."""
        raw, left = bytearray(), False
        try:
            with socket.create_connection(self.address, timeout=PATIENCE_SECONDS) as connection:
                with suppress(OSError):  # it may be answered before its end
                    connection.sendall(shot.data)
                connection.settimeout(BRIEF_SECONDS if shot.brief else PATIENCE_SECONDS)
                while block := connection.recv(1 << 16):
                    raw += block
        except TimeoutError:
            left = True
        except OSError:
            pass
        found = re.match(rb"HTTP/1\.[01] (\d{3})", raw)
        return Answer(int(found[1]) if found else None, left, bytes(raw))
