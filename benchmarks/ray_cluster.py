"""What a second machine of a Ray cluster is worth, both being nodes of one CPU on this machine.

python -m benchmarks.ray_cluster
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.deployment import Deployment, rate
from benchmarks.machine import heading
from cryptml.cluster import ray_library
from cryptml.errors import CryptmlError

STORE_BYTES = 500 << 20
TENANTS = 4
ROUNDS = 3


@contextmanager
def cluster(nodes: int) -> Iterator[str]:
    """Run a cluster of nodes with one CPU each, and give its address."""
    ray_library()
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
    found = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        for _ in range(nodes - 1):
            found.add_node(**node)
        yield found.address
    finally:
        found.shutdown()


def measure(deployment: Deployment, nodes: int, count: int) -> float:
    """Return the answers a second of as many workers as nodes; with 0 nodes, of one worker of the service's own machine."""
    with ExitStack() as stack:
        more = {}
        if nodes:
            more = {"CRYPTML_EXECUTOR": "ray", "CRYPTML_RAY_ADDRESS": stack.enter_context(cluster(nodes))}
        _, tenants = deployment.service(stack, workers=nodes or 1, threads=1, tenants=TENANTS, more=more)
        rate(tenants, 4 * TENANTS * (nodes or 1))  # every worker has every tenant's keys in memory, or nearly so
        return rate(tenants, count)


def main() -> int:
    """Measure in turn and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=80, help="of each cluster, in each of three rounds")
    arguments = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    out = sys.stdout
    out.write(f"{heading()}\n\n")
    rates: dict[int, list[float]] = {0: [], 1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="cryptml-bench-") as folder:
        deployment = Deployment("scatter", "SSS", Path(folder))
        for _ in range(ROUNDS):
            for nodes, found in rates.items():
                found.append(measure(deployment, nodes, arguments.answers))
    out.write("| scatter SSS, workers of one thread | answers a second, median | least to most |\n|---|---:|---:|\n")
    names = {0: "one process of the service's machine", 1: "a cluster of one node", 2: "a cluster of two nodes"}
    for nodes, found in rates.items():
        out.write(f"| {names[nodes]} | {statistics.median(found):.2f} | {min(found):.2f} to {max(found):.2f} |\n")
    one, two = statistics.median(rates[1]), statistics.median(rates[2])
    out.write(f"\ntwo nodes against one: {two / one:.2f} times; every tenant's answer was checked after each start\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CryptmlError as error:
        sys.exit(f"error: {error}")
