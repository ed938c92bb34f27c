"""What the service adds to a circuit's own time, what a second worker is worth, and how fair the queue is.

python -m benchmarks.service
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.deployment import Deployment, rate
from benchmarks.machine import heading
from cryptml.errors import CryptmlError

SETTLE_SECONDS = 0.4
"""Before each of these evaluations: the other process's threads spin for 0.2 s after theirs (LLVM's OpenMP, KMP_BLOCKTIME)."""


def measure_overhead(deployment: Deployment, count: int) -> list[str]:
    """Return the row of one network: the bare circuit and the service, each first in its turn, with the same ciphertext."""
    threads = os.cpu_count() or 1
    with ExitStack() as stack:
        _, (tenant,) = deployment.service(stack, workers=1, threads=threads, tenants=1)
        bare = deployment.bare(stack, threads)
        bare(tenant.ciphertext)
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
            alone.append(bare(tenant.ciphertext))

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
    out.write(f"{heading()}\n\n")
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
