"""A real Ray cluster on this machine: two nodes of one CPU each, everything ended with it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_for

STORE_BYTES = 200 << 20
MARK = f"CRYPTML_TEST_OF={os.getpid()}"
"""In the environment of the nodes and of what they start."""


class TwoNodes:
    """The cluster; its head is the node that services and tests join."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
        with _nodes_environment():
            self.cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
            self.other: Any = self.cluster.add_node(**node)
        self.address: str = self.cluster.address

    def raylets(self) -> dict[int, str]:
        """Process ids of the nodes, and which they are."""
        found = {}
        for name, node in (("head", self.cluster.head_node), ("other", self.other)):
            for each in node.all_processes.get("raylet", []):
                found[each.process.pid] = name
        return found

    def actors(self, kind: str = "NodeWorker") -> dict[int, str]:
        """Process ids of this cluster's actors, and on which node each is."""
        raylets = self.raylets()
        found = {}
        for pid in processes():
            if f"ray::{kind}" in command(pid) and parent(pid) in raylets:
                found[pid] = raylets[parent(pid)]
        return found

    def kill_other(self) -> None:
        """End one node at once, with everything on it."""
        self.cluster.remove_node(self.other, allow_graceful=False)

    def add_other(self) -> None:
        with _nodes_environment():
            self.other = self.cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)


@contextmanager
def _nodes_environment() -> Iterator[None]:
    """Of what is started within: known by a mark, and not measured, since most of it is Ray's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        name, _, value = MARK.partition("=")
        patch.setenv(name, value)
        for name in [each for each in os.environ if each.startswith("COVERAGE_")]:
            patch.delenv(name)
        yield


@contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    pytest.importorskip("ray")
    nodes = TwoNodes()
    try:
        yield nodes
    finally:
        import ray

        ray.shutdown()
        nodes.cluster.shutdown()
    try:
        wait_for(lambda: not leftovers(), "processes of the cluster to end")
    except AssertionError as error:
        found = {pid: command(pid)[:200] for pid in leftovers()}
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        raise AssertionError(f"left behind: {found}") from error


def leftovers() -> list[int]:
    """Processes that this test process or one below has started: they carry its mark in their environment."""
    return [pid for pid in processes() if pid != os.getpid() and MARK.encode() in environment(pid)]


def environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
