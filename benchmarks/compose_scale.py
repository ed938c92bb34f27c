"""Compose, rank and find the frontier of networks too large to measure here: time and peak memory of each in its own process.

python benchmarks/compose_scale.py
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

from cryptml.processes.memory import peak_resident_bytes
from cryptml.profiler.plan.composition import compose
from cryptml.profiler.plan.costs import CostModel, Link, SegmentCost
from cryptml.profiler.plan.frontier import frontier_of, search_frontier
from cryptml.splits import enumerate_segments

LINK = Link(bandwidth_mbps=100.0, rtt_ms=20.0)


def synthetic(layers: int) -> CostModel:
    """Costs as the reference network's segments have them, at random."""
    random = np.random.default_rng(0)
    parameters = random.integers(0, 3000, layers).astype(float)
    of_layers = np.where(np.arange(layers) % 3 == 1, random.integers(16, 2048, layers), 0)
    sizes = random.integers(16, 4096, layers + 1)
    segments = {}
    for segment in enumerate_segments(layers):
        bootstraps = float(of_layers[segment.start : segment.stop].sum())
        owned = float(parameters[segment.start : segment.stop].sum())
        keys = float(random.choice([51e6, 123e6, 235e6])) if bootstraps else 0.0
        segments[segment] = SegmentCost(
            client_run_ms=0.3 * len(segment) * (1 + random.random()),
            feasible=True,
            estimated=False,
            keygen_ms=keys / 1e4,
            load_keys_ms=keys / 1e5,
            encrypt_ms=0.5 * sizes[segment.start],
            evaluate_ms=bootstraps * 90 * (1 + 0.1 * random.random()) + 5,
            decrypt_ms=2.0,
            upload_bytes=24.0 * sizes[segment.start],
            download_bytes=16384.0 * sizes[segment.stop],
            evaluation_key_bytes=keys,
            client_keygen_peak_bytes=1.3 * keys,
            client_peak_bytes=0.6 * keys + 1e6 * random.random(),
            client_retained_bytes=0.6 * keys,
            server_peak_bytes=1.8 * keys + 2e7 * random.random(),
            server_retained_bytes=1.5 * keys,
            bootstraps=bootstraps,
            parameters=owned,
            recoverable=0.0 if bootstraps else owned,
            queries=np.inf if bootstraps else 100.0,
        )
    return CostModel(layers, segments, 1.0, 4.8e8, 4.8e8)


def listed(layers: int) -> int:
    composed = compose(synthetic(layers), LINK)
    np.argsort(composed.latency_ms)
    return int(frontier_of(composed).sum())


def searched(layers: int) -> int:
    return len(search_frontier(synthetic(layers), LINK))


def main() -> int:
    if len(sys.argv) == 3:
        started = time.perf_counter()
        found = {"listed": listed, "searched": searched}[sys.argv[1]](int(sys.argv[2]))
        print(f"{time.perf_counter() - started:.2f} s | {peak_resident_bytes() / 1e6:.0f} MB | {found} |")
        return 0
    print("| splits | method | time | peak memory | points of the frontier |\n|---|---|---|---|---|")
    for method, layers in (("listed", 12), ("listed", 16), ("searched", 16), ("searched", 20), ("searched", 24)):
        command = [sys.executable, __file__, method, str(layers)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"| 2^{layers} | {method} | {done.stdout.strip()}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
