"""What the service adds to a circuit's own time, what a second worker is worth, and how fair the queue is.

python benchmarks/service.py
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import httpx
import numpy as np
from cryptml_server.app import open_database
from cryptml_server.base.settings import Settings
from cryptml_server.tenancy.tenants import Quotas, TenantStore

from cryptml.bundle import ClientBundle
from cryptml.bundle.build import build_bundle
from cryptml.bundle.server import ServerBundle
from cryptml.cli.service.local_service import LocalService, local_service
from cryptml.errors import CryptmlError
from cryptml.fhe.backends.integer import compile_integer_program
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.files import sha256
from cryptml.networks import load_network
from cryptml.networks.rounding.envelope import envelope
from cryptml.processes.child import Child
from cryptml.profiler.measure.machine import describe_machine
from cryptml.splits import Split

SERVER_MODULE = "cryptml.profiler.measure.server_process"
TIMEOUT_SECONDS = 600.0

SETTLE_SECONDS = 0.4
"""Before each of these evaluations: the other process's threads spin for 0.2 s after theirs (LLVM's OpenMP, KMP_BLOCKTIME)."""

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


class Deployment:
    """A network's bundle, and services of it with several settings.

    Args:
        name: Of a shipped network.
        letters: Of a split with one server segment.
        work: An empty folder.
    """

    def __init__(self, name: str, letters: str, work: Path) -> None:
        self.name, self.letters, self.work = name, letters, work
        self.network = load_network(name)
        self.bundle: ServerBundle = build_bundle(
            self.network, Split(letters), work / "bundle", backend=compile_integer_program
        )
        (self.step,) = ClientBundle.load(self.bundle.folder / "client").server_steps
        self.keys = KeySet.generate(self.step.circuit)
        self.client = ClientCircuit(self.step.circuit, self.keys)
        segment = self.step.circuit.segment
        reads = self.network.boundaries[segment.start]
        self.values = np.zeros((1, *reads.shape), np.int64) + (reads.low + reads.high) // 2
        self.possible = envelope(self.network, self.values, segment)

    def service(
        self, stack: ExitStack, workers: int, threads: int, tenants: int, more: Mapping[str, str] | None = None
    ) -> tuple[LocalService, list[Tenant]]:
        """Start a service, with more settings if given, for some tenants that have uploaded their keys and been answered once."""
        data = Path(tempfile.mkdtemp(dir=self.work))
        database = open_database(Settings(data=data))
        tokens = [TenantStore(database).add(f"tenant{number}", MANY)[1] for number in range(tenants)]
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

    def bare(self, stack: ExitStack, threads: int) -> Callable[[Tenant], float]:
        """Load the circuit in a process like a worker, without a service, and return what times an evaluation there."""
        keys, given, result = (self.work / name for name in ("bare-keys", "bare-input", "bare-output"))
        keys.write_bytes(self.keys.evaluation_keys)
        child = stack.enter_context(Child(SERVER_MODULE, threads=threads))
        deadline = time.monotonic() + TIMEOUT_SECONDS
        child.ask({"do": "load", "circuit": str(self.bundle.circuit_folder(0)), "keys": str(keys)}, deadline)

        def evaluate(tenant: Tenant) -> float:
            given.write_bytes(tenant.ciphertext)
            request = {"do": "evaluate", "input": str(given), "output": str(result)}
            return float(child.ask(request, time.monotonic() + TIMEOUT_SECONDS)["evaluate_ms"])

        return evaluate

    def _tenant(self, stack: ExitStack, url: str, token: str) -> Tenant:
        http = stack.enter_context(
            httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, headers={"Authorization": f"Bearer {token}"})
        )
        identity = sha256(self.step.circuit.client_specs)
        http.put(
            f"/v1/models/{self.network.name}/evaluation-keys/{self.keys.digest}",
            params={"segment": 0},
            content=self.keys.evaluation_keys,
            headers={"CryptML-Circuit": identity},
        ).raise_for_status()
        return Tenant(
            http,
            f"/v1/models/{self.network.name}/segments/0/evaluations",
            {"CryptML-Circuit": identity, "CryptML-Evaluation-Keys": self.keys.digest},
            self.client.encrypt(self.values),
            self.is_right,
        )

    def is_right(self, body: bytes) -> bool:
        """Return whether an answer decrypts to what the network gives in the clear, rounding allowed for."""
        return self.possible.holds(self.client.decrypt(body).reshape(self.possible.shape))


def measure_overhead(deployment: Deployment, count: int) -> list[str]:
    """Return the row of one network: the bare circuit and the service, each first in its turn, with the same ciphertext."""
    threads = os.cpu_count() or 1
    with ExitStack() as stack:
        _, (tenant,) = deployment.service(stack, workers=1, threads=threads, tenants=1)
        bare = deployment.bare(stack, threads)
        bare(tenant)
        alone: list[float] = []
        served: list[float] = []
        around: list[float] = []

        def ask() -> None:
            time.sleep(SETTLE_SECONDS)
            elapsed, evaluation = tenant.ask()
            served.append(elapsed)
            around.append(elapsed - evaluation)

        def ask_bare() -> None:
            time.sleep(SETTLE_SECONDS)
            alone.append(bare(tenant))

        for number in range(count):
            for each in (ask, ask_bare) if number % 2 else (ask_bare, ask):
                each()
        tenant.check()
    added = statistics.median(other - one for one, other in zip(alone, served, strict=True))
    share = statistics.median(served) / statistics.median(alone) - 1
    return [
        f"{deployment.name} {deployment.letters}",
        _spread(alone),
        _spread(served),
        f"{added:.1f} ms",
        f"{share:+.1%}",
        _spread(around),
        str(count),
    ]


def measure_throughput(deployment: Deployment, workers: int, count: int) -> float:
    """Return the answers a second of some workers of one thread each, for as many tenants with a request always waiting each."""
    with ExitStack() as stack:
        _, tenants = deployment.service(stack, workers=workers, threads=1, tenants=4)
        rate(tenants, 4 * len(tenants) * workers)  # every worker has every tenant's keys in memory, or nearly so
        return rate(tenants, count)


def measure_fairness(deployment: Deployment, many: int) -> tuple[float, float]:
    """Return how long one request takes beside a tenant that has sent many, and the median evaluation, in milliseconds."""
    threads = os.cpu_count() or 1
    evaluations: list[float] = []
    with ExitStack() as stack:
        _, (busy, calm) = deployment.service(stack, workers=1, threads=threads, tenants=2)
        running = [threading.Thread(target=lambda: evaluations.append(busy.ask()[1])) for _ in range(many)]
        for thread in running:
            thread.start()
        while len(evaluations) < 2:
            time.sleep(0.01)
        waited = [calm.ask()[0] for _ in range(5)]
        for thread in running:
            thread.join()
        for tenant in (busy, calm):
            tenant.check()
    return max(waited), statistics.median(evaluations)


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


def _spread(samples: Sequence[float]) -> str:
    return f"{statistics.median(samples):.1f} ms ({min(samples):.1f} to {max(samples):.1f})"


def main() -> int:
    """Measure all and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=24, help="pairs of each network")
    parser.add_argument("--answers", type=int, default=40, help="for each number of workers, three times")
    parser.add_argument(
        "--many", type=int, default=100, help="requests of the tenant beside the one with a single request"
    )
    arguments = parser.parse_args()
    out = sys.stdout
    machine = describe_machine()
    today = datetime.now(timezone.utc).date().isoformat()
    out.write(f"{machine['cpu']}, {machine['cores']} cores, {platform.system()}, {today}\n\n")
    out.write(
        "| network, split | the circuit alone | over HTTP | added, median | relative | of a request, outside its evaluation | pairs |\n"
    )
    out.write("|---|---:|---:|---:|---:|---:|---:|\n")
    with tempfile.TemporaryDirectory(prefix="cryptml-bench-") as folder:
        deployments = {}
        for name, letters in (("conv", "CCSCC"), ("scatter", "SSS"), ("reference", "CCSSS"), ("reference", "SSSSS")):
            work = Path(folder) / f"{name}-{letters}"
            work.mkdir()
            deployments[name, letters] = Deployment(name, letters, work)
            row = measure_overhead(deployments[name, letters], arguments.count)
            out.write(f"| {' | '.join(row)} |\n")
            out.flush()
        scatter = deployments["scatter", "SSS"]
        rates: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(3):
            for workers, found in rates.items():
                found.append(measure_throughput(scatter, workers, arguments.answers))
        one, two = (statistics.median(found) for found in rates.values())
        out.write(
            f"\nscatter SSS, workers of one thread: one {one:.2f} answers a second ({_range(rates[1])}), two {two:.2f} "
            f"({_range(rates[2])}): {two / one:.2f} times\n"
        )
        waited, evaluation = measure_fairness(scatter, arguments.many)
        out.write(
            f"\nfive requests of a tenant beside one that has sent {arguments.many}: the slowest took {waited:.0f} ms, "
            f"{waited / evaluation:.2f} evaluations of {evaluation:.0f} ms, its own among them\n"
        )
    return 0


def _range(samples: Sequence[float]) -> str:
    return f"{min(samples):.2f} to {max(samples):.2f}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CryptmlError as error:
        sys.exit(f"error: {error}")
