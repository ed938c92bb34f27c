"""A network's bundle behind services with several settings, and tenants that ask them."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from cryptml_server.base.settings import Settings
from cryptml_server.database.administration import open_database
from cryptml_server.tenancy.tenants import Quotas

from benchmarks.requester import Requester, add_tenants, build, connect
from cryptml.errors import CryptmlError
from cryptml.networks import load_network
from cryptml.networks.rounding.envelope import envelope
from cryptml.processes.child import Child
from cryptml.verification.local_service import LocalService, local_service

SERVER_MODULE = "cryptml.profiler.measure.server_process"
TIMEOUT_SECONDS = 600.0
MANY = Quotas(concurrent_evaluations=1000, daily_evaluations=1_000_000)


@dataclass
class Tenant:
    """One of those who ask: its own keys, one ciphertext for all its requests.

    Attributes:
        http: With its token.
        path: Of the segment's evaluations.
        headers: That name circuit and keys.
        ciphertext: Serialised.
        is_right: Whether an answer decrypts to what the network gives in the clear, rounding allowed for.
        answers: Those that were not looked at yet: decrypting takes time of the cores that are measured.
    """

    http: httpx.Client
    path: str
    headers: dict[str, str]
    ciphertext: bytes
    is_right: Callable[[bytes], bool]
    answers: list[bytes] = field(default_factory=list)

    def ask(self) -> tuple[float, float]:
        """Return the milliseconds of one answer, and those of its evaluation."""
        started = time.perf_counter()
        answer = self.http.post(self.path, content=self.ciphertext, headers=self.headers)
        elapsed = (time.perf_counter() - started) * 1000
        answer.raise_for_status()
        self.answers.append(answer.content)
        return elapsed, float(answer.headers["server-timing"].partition("dur=")[2])

    def check(self) -> None:
        """Refuse to go on where an answer was wrong."""
        if not all(map(self.is_right, self.answers)):
            raise CryptmlError(
                "an answer decrypts to other integers than the network's in the clear, rounding allowed for"
            )
        self.answers.clear()


class Deployment(Requester):
    """A network's bundle, and services of it with several settings.

    Args:
        name: Of a shipped network.
        letters: Of a split with one server segment.
        work: An empty folder.
    """

    def __init__(self, name: str, letters: str, work: Path) -> None:
        self.name, self.letters, self.work = name, letters, work
        self.network = load_network(name)
        super().__init__(build(name, letters, work / "bundle"), self.network.name)
        segment = self.circuit.segment
        reads = self.network.boundaries[segment.start]
        self.values = np.zeros((1, *reads.shape), np.int64) + (reads.low + reads.high) // 2
        self.possible = envelope(self.network, self.values, segment)

    def service(
        self, stack: ExitStack, workers: int, threads: int, tenants: int, more: Mapping[str, str] | None = None
    ) -> tuple[LocalService, list[Tenant]]:
        """Start a service, with more settings if given, for some tenants that have uploaded their keys and been answered once."""
        data = Path(tempfile.mkdtemp(dir=self.work))
        database = open_database(Settings(data=data))
        tokens = add_tenants(database, (f"tenant{number}" for number in range(tenants)), MANY)
        database.close()
        variables = {
            "CRYPTML_WORKERS": str(workers),
            "CRYPTML_THREADS": str(threads),
            "CRYPTML_WAITING_REQUESTS": "1000",
            "CRYPTML_CACHED_KEYS": str(min(tenants, 4)),
            **(more or {}),
        }
        running = stack.enter_context(local_service([self.bundle.folder], data, variables, anonymous=False))
        found = [self._tenant(stack, running.url, token) for token in tokens]
        for each in found:
            each.ask()
        return running, found

    def bare(self, stack: ExitStack, threads: int) -> Callable[[bytes], float]:
        """Load the circuit in a process like a worker, without a service, and return what times an evaluation there."""
        folder = Path(tempfile.mkdtemp(dir=self.work))
        keys, given, result = (folder / name for name in ("keys", "input", "output"))
        keys.write_bytes(self.keys.evaluation_keys)
        child = stack.enter_context(Child(SERVER_MODULE, threads=threads))
        deadline = time.monotonic() + TIMEOUT_SECONDS
        child.ask({"do": "load", "circuit": str(self.bundle.circuit_folder(0)), "keys": str(keys)}, deadline)

        def evaluate(ciphertext: bytes) -> float:
            given.write_bytes(ciphertext)
            request = {"do": "evaluate", "input": str(given), "output": str(result)}
            return float(child.ask(request, time.monotonic() + TIMEOUT_SECONDS)["evaluate_ms"])

        return evaluate

    def _tenant(self, stack: ExitStack, url: str, token: str) -> Tenant:
        http = stack.enter_context(connect(url, token, TIMEOUT_SECONDS))
        self.store_keys(http).raise_for_status()
        return Tenant(
            http,
            self.evaluations_path,
            self.names,
            self.client.encrypt(self.values),
            self.is_right,
        )

    def is_right(self, body: bytes) -> bool:
        """Return whether an answer decrypts to what the network gives in the clear, rounding allowed for."""
        return self.possible.holds(self.client.decrypt(body).reshape(self.possible.shape))


def rate(tenants: Sequence[Tenant], count: int) -> float:
    """Return the answers a second to tenants with a request always waiting each."""
    left = threading.Semaphore(count)
    errors: list[Exception] = []

    def work(tenant: Tenant) -> None:
        try:
            while left.acquire(blocking=False):
                tenant.ask()
        except (CryptmlError, httpx.HTTPError) as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(tenant,)) for tenant in tenants]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if errors:
        raise errors[0]
    for tenant in tenants:
        tenant.check()
    return count / seconds
