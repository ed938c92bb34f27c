"""What a client spends outside the evaluation, beside another version of itself, in turn.

    python -m benchmarks.client_overhead --against CHECKOUT [--pairs 60]

CHECKOUT is a folder with another version of the repository. Both clients ask the same service about the same regions, each first in
its turn; what the service says that the evaluation took is subtracted.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
WARM_UP = 5
PATHS = ("", "server", "client")


@contextmanager
def asking(checkout: Path, url: str, keys: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a checkout's client in a process of its own."""
    paths = os.pathsep.join(str(checkout / name) for name in PATHS)
    command = [sys.executable, str(Path(__file__).resolve()), "--ask", url, "--keys", str(keys)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def ask(process: subprocess.Popen[str], seed: int) -> dict[str, Any]:
    """Let a client ask about one region."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("no pipes")
    process.stdin.write(f"{seed}\n")
    process.stdin.flush()
    return dict(json.loads(process.stdout.readline()))


def answer(url: str, keys: Path) -> None:
    """Be a client: ask about a region for each seed on stdin."""
    from cryptml_client import Client, KeyStore

    knows = inspect.signature(Client).parameters
    trusting: dict[str, Any] = {"trust_first_use": True} if "trust_first_use" in knows else {}
    with Client(url, keys=KeyStore(keys), **trusting) as client:
        client.prepare()
        side = client.bundle.front_end.side
        for line in sys.stdin:
            region = np.random.default_rng(int(line)).random((side, side), dtype=np.float32)
            started = time.perf_counter()
            found = client.predict_region(region).answer
            elapsed = (time.perf_counter() - started) * 1000
            outside = elapsed - found.timings.stages["server_evaluate"]
            sys.stdout.write(json.dumps({"outside_ms": outside, "integers": found.integers.tolist()}) + "\n")
            sys.stdout.flush()


def compare(network: str, split: str, against: Path, pairs: int) -> str:
    """Return a row of the table.

    Raises:
        SystemExit: If the two do not say the same where nothing rounds.
    """
    from cryptml.bundle.build import build_bundle
    from cryptml.fhe.backends.compilation import compile_integer_program
    from cryptml.networks import load_network
    from cryptml.splits import Split
    from cryptml.verification.local_service import local_service

    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        work = Path(name)
        loaded = load_network(network)
        build_bundle(loaded, Split(split), work / "bundle", backend=compile_integer_program)
        service = stack.enter_context(local_service([work / "bundle"], work / "data"))
        clients = [
            stack.enter_context(asking(checkout, service.url, work / f"keys-{index}"))
            for index, checkout in enumerate((against, ROOT))
        ]
        exact = not any(loaded.is_approximate(segment) for segment in Split(split).server_segments)
        samples: list[list[float]] = [[], []]
        same = 0
        for pair in range(WARM_UP + pairs):
            order = (0, 1) if pair % 2 else (1, 0)
            found = {index: ask(clients[index], pair) for index in order}
            equal = found[0]["integers"] == found[1]["integers"]
            if exact and not equal:
                raise SystemExit(f"{network} {split}: the two clients decrypt different answers")
            if pair >= WARM_UP:
                same += equal
                for index in order:
                    samples[index].append(found[index]["outside_ms"])
    before, after = samples
    differences = [new - old for old, new in zip(before, after, strict=True)]
    quartiles = statistics.quantiles(differences, n=4)
    return (
        f"| {network} {split} | {statistics.median(before):.1f} ms | {statistics.median(after):.1f} ms | "
        f"{statistics.median(differences):+.1f} ms ({quartiles[0]:+.1f} to {quartiles[2]:+.1f}) | {pairs} | "
        f"{same} of {pairs}{'' if exact else ', approximate'} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    parser.add_argument("--keys", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        answer(options.ask, options.keys)
        return
    if options.against is None:
        parser.error("--against names a checkout of another version")
    sys.stdout.write(f"{platform.machine()}, {os.cpu_count()} cores, {datetime.now(UTC).date().isoformat()}\n\n")
    sys.stdout.write(
        "| network, split | before | after | difference, median (quartiles) | pairs | the same integers |\n"
    )
    sys.stdout.write("|---|---:|---:|---:|---:|---|\n")
    for network, split in (("tiny", "CCSSS"), ("scatter", "SSS")):
        sys.stdout.write(compare(network, split, options.against.resolve(), options.pairs) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
