"""How many squares a second a scan gets, beside what Concrete's runtime and the client's own work allow on the same cores.

python -m benchmarks.scan_rate [--networks deep,scatter] [--squares 24] [--rounds 3]

Runtime: as many processes as there are cores, one thread each, that do nothing but evaluate. Client: crop, front end, encryption and
decryption of a square, one after the other. Were neither ever to wait, a square would take the runtime's time a square, and the client's
over the number of cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from cryptml_client import Client, Scan

from benchmarks.deployment import Deployment
from benchmarks.machine import heading
from cryptml.bundle import ClientBundle
from cryptml.errors import CryptmlError
from cryptml.images import Image, Region, crop
from cryptml.networks import load_network
from cryptml.networks.textures import random_textures
from cryptml.verification.local_service import local_service

FILM = 1024
SIZE = 128


def film(squares: int) -> tuple[Image, list[Region]]:
    """Return a synthetic film, and as many squares of it."""
    step = SIZE // 2
    across = (FILM - SIZE) // step
    every = [Region(step * (place % across), step * (place // across), SIZE) for place in range(squares)]
    return Image(random_textures(FILM, 1, 3)[0], "synthetic"), every


def runtime_rate(deployment: Deployment, cores: int, count: int) -> float:
    """Return the evaluations a second of one process a core, each with one thread."""
    ciphertext = deployment.client.encrypt(deployment.values)
    with ExitStack() as stack:
        evaluators = [deployment.bare(stack, 1) for _ in range(cores)]
        together(evaluators, ciphertext, 2)
        return together(evaluators, ciphertext, max(1, count // cores))


def together(evaluators: Sequence[Callable[[bytes], float]], ciphertext: bytes, count: int) -> float:
    """Let all evaluate at once, so often each; return the evaluations a second."""

    def work(evaluate: Callable[[bytes], float]) -> None:
        for _ in range(count):
            evaluate(ciphertext)

    threads = [threading.Thread(target=work, args=(each,)) for each in evaluators]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count * len(evaluators) / (time.perf_counter() - started)


def client_seconds(deployment: Deployment, picture: Image, squares: Sequence[Region]) -> float:
    """Return the client's own work for a square, of a split without client layers."""
    bundle = ClientBundle.load(deployment.bundle.folder / "client")
    answer = bytes(0)
    with ExitStack() as stack:
        _, (tenant,) = deployment.service(stack, workers=1, threads=1, tenants=1)
        tenant.ask()
        answer = tenant.answers[-1]
    samples = []
    for square in squares:
        started = time.perf_counter()
        values = bundle.first.quantise(bundle.front_end.apply(crop(picture, square, bundle.front_end.side)[None]))
        deployment.client.encrypt(values)
        deployment.client.decrypt(answer)
        samples.append(time.perf_counter() - started)
    return statistics.median(samples)


def scan_rate(deployment: Deployment, picture: Image, squares: Sequence[Region], workers: int, in_flight: int) -> float:
    """Return the squares a second of a whole scan over HTTP, keys and connection at hand."""
    settings = {"CRYPTML_WORKERS": str(workers), "CRYPTML_THREADS": "1" if workers > 1 else str(os.cpu_count() or 1)}
    with tempfile.TemporaryDirectory(dir=deployment.work) as folder:
        work = Path(folder)
        with (
            local_service([deployment.bundle.folder], work / "data", settings) as service,
            Client(service.url, keys=deployment.work / "client-keys", trust_first_use=True) as client,
        ):
            client.prepare()
            warm = Scan(client, picture, squares[: 2 * workers], work / "warm", in_flight=workers)
            list(warm.answers())
            scan = Scan(client, picture, squares, work / "journal", in_flight=in_flight)
            started = time.perf_counter()
            answers = list(scan.answers())
            seconds = time.perf_counter() - started
    if not all(each.probabilities for each in answers):
        raise CryptmlError("a square has no answer")
    return len(squares) / seconds


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="deep,scatter")
    parser.add_argument("--squares", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    cores = os.cpu_count() or 1
    picture, squares = film(arguments.squares)
    out = sys.stdout
    out.write(f"{heading()}; {arguments.squares} squares, {arguments.rounds} rounds, medians, squares a second\n\n")
    out.write(
        f"| network | runtime, {cores} x 1 thread | client's work a square | both allow | one after the other, 1 worker | "
        f"{cores} workers of 1 thread | of what both allow |\n|---|---:|---:|---:|---:|---:|---:|\n"
    )
    with tempfile.TemporaryDirectory(prefix="cryptml-bench-") as folder:
        for name in arguments.networks.split(","):
            work = Path(folder) / name
            work.mkdir()
            deployment = Deployment(name, "S" * len(load_network(name)), work)
            runtime, client, before, now, shares = [], [], [], [], []
            for _ in range(arguments.rounds):
                runtime.append(runtime_rate(deployment, cores, arguments.squares))
                client.append(client_seconds(deployment, picture, squares))
                before.append(scan_rate(deployment, picture, squares, 1, 1))
                now.append(scan_rate(deployment, picture, squares, cores, 2 * cores))
                shares.append(now[-1] * (1 / runtime[-1] + client[-1] / cores))
            allowed = 1 / (1 / statistics.median(runtime) + statistics.median(client) / cores)
            own = f"{1000 * statistics.median(client):.0f} ms"
            cells = [name, _spread(runtime), own, f"{allowed:.2f}", _spread(before), _spread(now), _spread(shares)]
            out.write(f"| {' | '.join(cells)} |\n")
            out.flush()
    return 0


def _spread(samples: Sequence[float]) -> str:
    return f"{statistics.median(samples):.2f} ({min(samples):.2f} to {max(samples):.2f})"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CryptmlError as error:
        sys.exit(f"error: {error}")
