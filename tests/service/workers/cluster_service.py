"""Workers on a real cluster of two nodes: the same answers, keys that stay where they are, and losses of every kind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from cryptml_server.base.errors import ServerError, WorkerLost
from cryptml_server.base.settings import Settings
from cryptml_server.base.settings_sources import read_settings
from cryptml_server.workers.factory import create_workers
from cryptml_server.workers.local import Supervisor
from cryptml_server.workers.protocol import Worker
from cryptml_server.workers.ray.circuits import ShippedCircuits
from cryptml_server.workers.ray.node import NodeWorker
from cryptml_server.workers.ray.timings import RayTimings
from cryptml_server.workers.ray.worker import RayWorker

from benchmarks.machine import children
from cryptml import cluster
from cryptml.bundle import ServerBundle
from cryptml.errors import SettingError
from cryptml.networks import Network
from cryptml.verification.local_service import local_service
from tests.ray_cluster import TwoNodes, command, environment, two_nodes
from tests.service.answered import answered, refusal
from tests.service.clinic import WorkersClinic
from tests.waiting import wait_for, wait_until_ready

pytestmark = [
    pytest.mark.encrypted,
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc to see processes"),
]


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    with two_nodes() as found:
        yield found


class Client(WorkersClinic):
    """A clinic with inputs of its own."""

    def __init__(self, network: Network, bundle: ServerBundle, work: Path, number: int) -> None:
        super().__init__(bundle, work, f"keys-{number}")
        reads = network.boundaries[self.circuit.segment.start]
        shape = (1, *self.circuit.reads.shape)
        self.values = np.random.default_rng(number).integers(reads.low, reads.high, shape, np.int64, endpoint=True)
        self.expected = network.run(self.values, self.circuit.segment)
        self.ciphertext = self.client.encrypt(self.values)

    def is_right(self, worker: Worker) -> bool:
        """Whether a worker's answer is the network's in the clear."""
        return np.array_equal(self.evaluate(worker), self.expected)

    def is_answered(self, http: httpx.Client) -> bool:
        """Ask until a worker has room, as answers with Retry-After say; whether the answer is right."""
        answer = wait_for(
            lambda: got if (got := self.send(http, self.ciphertext)).status_code != 503 else None, "an answer"
        )
        answer.raise_for_status()
        return np.array_equal(self.client.decrypt(answer.content), self.expected)


@pytest.fixture(scope="module")
def clients(
    tiny: Network, build_tiny: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Client, Client]:
    bundle, work = build_tiny("CCSSS"), tmp_path_factory.mktemp("clients")
    return Client(tiny, bundle, work, 1), Client(tiny, bundle, work, 2)


@pytest.fixture(scope="module")
def shared(nodes: TwoNodes, clients: tuple[Client, Client]) -> Iterator[RayWorker]:
    """A worker for several tests: each start takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYPTML_DATABASE", "postgresql://secret")
        settings = Settings(executor="ray", ray_address=nodes.address, evaluation_seconds=60)
        (worker,) = create_workers(settings, 1)
        assert isinstance(worker, RayWorker)
        worker.start((clients[0].served,))
    yield worker
    worker.stop()
    assert not worker.alive


def evaluator(worker: RayWorker) -> int:
    """The process on the node that evaluates."""
    (found,) = wait_for(
        lambda: [pid for pid in children(worker.process) if "cryptml_server.workers.process" in command(pid)],
        "its process",
    )
    return int(found)


def test_answers_are_the_local_ones_and_keys_travel_once(clients: tuple[Client, Client], shared: RayWorker) -> None:
    one, other = clients
    local = Supervisor(threads=1, cached_keys=1, deadline_seconds=60)
    worker = shared
    try:
        local.start((one.served,))
        assert one.is_right(local)
        assert one.is_right(worker)
        assert one.is_right(worker)
        assert worker.keys_sent == 1
        worker.check_keys(other.file, other.name)  # one set is kept, so the first goes
        assert other.is_right(worker)
        assert worker.keys_sent == 2
        assert one.is_right(worker)
        assert worker.keys_sent == 3
        worker.forget(one.name)
        assert one.is_right(worker)
        assert worker.keys_sent == 4
    finally:
        local.stop()
    assert b"postgresql://secret" not in environment(worker.process)
    of_evaluator = environment(evaluator(worker))
    assert b"OMP_NUM_THREADS=1\0" in of_evaluator
    assert b"CRYPTML_" not in of_evaluator  # not even the node's own, which it was started with


def test_what_does_not_fit_is_refused_as_by_a_local_worker(
    clients: tuple[Client, Client], shared: RayWorker, tmp_path: Path
) -> None:
    one, _ = clients
    worker = shared
    process = worker.process
    gone, noise = tmp_path / "gone", tmp_path / "noise"
    noise.write_bytes(b"noise" * 100)
    assert refusal(lambda: worker.evaluate(one.served, gone, "gone", b"")) == (404, "Unknown evaluation keys")
    assert refusal(lambda: worker.check_keys(noise, "noise")) == (422, "Unusable evaluation keys")
    assert refusal(lambda: worker.evaluate(one.served, one.file, one.name, b"x")) == (422, "Unusable ciphertext")
    assert refusal(lambda: worker.check_keys(tmp_path, "folder")) == (503, "Keys unreadable")
    assert worker.process == process


def test_a_lost_worker_is_said_and_replaced(clients: tuple[Client, Client], shared: RayWorker) -> None:
    one, _ = clients
    worker = shared
    assert one.is_right(worker)
    first, sent = worker.process, worker.keys_sent
    evaluating = evaluator(worker)
    os.kill(evaluating, signal.SIGSTOP)
    threading.Timer(0.5, os.kill, (first, signal.SIGKILL)).start()
    with pytest.raises(WorkerLost) as lost:
        one.is_right(worker)
    assert answered(lost.value) == (503, "Worker lost")
    assert one.is_right(worker)
    assert worker.process != first
    assert worker.keys_sent == sent + 1
    os.kill(evaluating, signal.SIGCONT)
    wait_for(lambda: not command(evaluating), "the process that evaluated to end with its owner")
    # One that dies while nobody asks is seen, and started again when the pool looks.
    os.kill(worker.process, signal.SIGKILL)
    wait_for(lambda: not worker.alive, "the loss to be seen")
    worker.revive()
    worker.load()
    assert worker.alive
    # The process that evaluates alone: its owner says so, and the node goes on.
    second, evaluating = worker.process, evaluator(worker)
    os.kill(evaluating, signal.SIGSTOP)
    threading.Timer(0.5, os.kill, (evaluating, signal.SIGKILL)).start()
    with pytest.raises(WorkerLost):
        one.is_right(worker)
    assert one.is_right(worker)
    assert worker.process == second
    # What somebody in charge breaks off.
    os.kill(evaluator(worker), signal.SIGSTOP)
    threading.Timer(0.5, worker.interrupt).start()
    with pytest.raises(WorkerLost):
        one.is_right(worker)


def test_an_evaluation_past_its_time_is_stopped(
    clients: tuple[Client, Client], shared: RayWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = clients
    assert one.is_right(shared)
    first, evaluating = shared.process, evaluator(shared)
    monkeypatch.setattr(shared, "timings", RayTimings(back=0.5))
    monkeypatch.setattr(shared, "_deadline", 1.0)
    os.kill(evaluating, signal.SIGSTOP)
    assert refusal(lambda: one.is_right(shared)) == (504, "Evaluation too slow")
    assert not shared.alive
    os.kill(evaluating, signal.SIGCONT)
    wait_for(lambda: not command(first), "the actor to end")
    wait_for(lambda: not command(evaluating), "its process to end")


def test_a_node_keeps_the_time_itself(tmp_path: Path) -> None:
    node = NodeWorker(1, 1, 1.0, 0)
    try:
        process = node._supervisor._process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        head, _ = node.check_keys("keys", b"keys")
        assert json.loads(head)["kind"] == "evaluation-too-slow"
        assert not node._keys.exists()
        folder = node._folder.path
        assert folder.stat().st_mode & 0o777 == 0o700
        with pytest.raises(ValueError, match="is not a file's name"):
            node._folder.write("circuit-9", [("../x", b"")])
    finally:
        node.close()
    assert not folder.exists()


def test_a_full_cluster_is_said_and_waited_for(
    nodes: TwoNodes, clients: tuple[Client, Client], shared: RayWorker
) -> None:
    one, _ = clients
    shared.stop()
    assert refusal(lambda: one.is_right(shared)) == (503, "Shutting down")
    wait_for(lambda: not nodes.actors(), "its actor to end")
    ray = cluster.connect(nodes.address)

    class Idle:  # here, because nodes know no modules of tests
        def describe(self) -> bool:
            return True

    others = [ray.remote(Idle).options(num_cpus=1).remote() for _ in range(2)]
    ray.get([other.describe.remote() for other in others])
    hurried = RayTimings(place=1.0)
    worker = RayWorker(ray, ShippedCircuits(ray), threads=1, cached_keys=1, deadline_seconds=60, timings=hurried)
    try:
        with pytest.raises(ServerError, match="no node had 1 free CPUs within 1 s") as full:
            worker.start((one.served,))
        assert (answered(full.value)[0], full.value.retry_after) == (503, 30)
        assert not worker.alive
        worker.timings = RayTimings()
        for other in others:
            ray.kill(other)
        assert one.is_right(worker)
    finally:
        worker.stop()


def test_a_service_answers_from_two_nodes_and_after_losses(
    nodes: TwoNodes, clients: tuple[Client, Client], build_tiny: Callable[[str], Any], tmp_path: Path
) -> None:
    settings = {
        "CRYPTML_EXECUTOR": "ray",
        "CRYPTML_RAY_ADDRESS": nodes.address,
        "CRYPTML_WORKERS": "2",
        "CRYPTML_THREADS": "1",
    }
    with (
        local_service([build_tiny("CCSSS").folder], tmp_path, settings) as running,
        httpx.Client(base_url=running.url, timeout=60) as http,
        ThreadPoolExecutor(8) as threads,
    ):
        wait_until_ready(http)
        actors = wait_for(lambda: found if len(found := nodes.actors()) == 2 else None, "two actors")
        assert sorted(actors.values()) == ["head", "other"]
        for client in clients:
            client.upload(http)
        assert all(threads.map(lambda number: clients[number % 2].is_answered(http), range(8)))

        # An actor is killed in the middle of an evaluation; its request is tried again, and answered.
        evaluators = {pid: actor for actor in actors for pid in children(actor) if "worker" in command(pid)}
        for pid in evaluators:
            os.kill(pid, signal.SIGSTOP)
        asked = [threads.submit(client.send, http, client.ciphertext) for client in clients]  # so that both have one
        time.sleep(1)
        assert not any(each.done() for each in asked)
        (lost, actor), (spared, _) = evaluators.items()
        os.kill(actor, signal.SIGKILL)
        for pid in (lost, spared):
            os.kill(pid, signal.SIGCONT)
        for client, each in zip(clients, asked, strict=True):
            answer = each.result()
            assert answer.status_code == 200
            assert np.array_equal(client.client.decrypt(answer.content), client.expected)

        # A whole node goes, and later another one comes.
        nodes.kill_other()
        assert all(client.is_answered(http) for client in clients)
        assert set(nodes.actors().values()) == {"head"}
        nodes.add_other()
        wait_for(lambda: sorted(nodes.actors().values()) == ["head", "other"], "an actor on the new node")
        assert all(threads.map(lambda number: clients[number % 2].is_answered(http), range(4)))
    wait_for(lambda: not nodes.actors(), "actors to end with the service")


def test_a_cluster_that_cannot_be_joined_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for given, said in (
        ({"executor": "ray"}, "needs ray_address"),
        ({"ray_address": "auto"}, "executor is local"),
        ({"executor": "ray", "ray_address": "somewhere"}, "ray_address"),
        ({"executor": "rya"}, "executor"),
    ):
        with pytest.raises(SettingError, match=said):
            read_settings(given, needs_bundles=False)
    served = subprocess.run(
        [sys.executable, "-m", "cryptml", "serve", "--executor", "ray", "--ray-address", "127.0.0.1:1", "--data", str(tmp_path), "--port", "0"],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "CRYPTML_BUNDLES": "[]"},
    )  # fmt: skip
    assert served.returncode == 1
    assert "there is nothing to serve" in served.stderr
    script = "import sys, cryptml_server, cryptml.profiler.profiling; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0  # imported where it is asked for
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(SettingError, match=r"no Ray cluster answers at 127.0.0.1:1; check the address"):
        cluster.connect("127.0.0.1:1")
    with pytest.raises(SettingError, match="no Ray cluster answers at somewhere"):
        cluster.connect("somewhere")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingError, match=r"install cryptml\[ray\]"):
        cluster.connect("auto")
