"""The worker process: lost, stuck, refused, replaced, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from cryptml_server.base.errors import ServerError
from cryptml_server.base.models import Circuit
from cryptml_server.workers.local import Supervisor

from benchmarks.machine import children
from cryptml.bundle import ClientBundle
from cryptml.files import sha256
from tests.bounds import ENDS_SECONDS
from tests.service.answered import answered, refusal
from tests.service.clinic import WorkersClinic
from tests.waiting import wait_for_end, wait_until_ready

pytestmark = pytest.mark.encrypted

PATIENCE_SECONDS = 60
"""For what takes a second or less on an idle machine."""


@pytest.fixture(scope="module")
def kit(build_tiny: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> WorkersClinic:
    return WorkersClinic(build_tiny("CCSCC"), tmp_path_factory.mktemp("kit"))


@pytest.fixture
def start(kit: WorkersClinic) -> Iterator[Callable[..., Supervisor]]:
    made: list[Supervisor] = []

    def make(deadline: float = 60, circuits: tuple[Circuit, ...] | None = None) -> Supervisor:
        supervisor = Supervisor(threads=1, cached_keys=1, deadline_seconds=deadline)
        made.append(supervisor)
        supervisor.start((kit.served,) if circuits is None else circuits)
        return supervisor

    yield make
    for supervisor in made:
        supervisor.stop()


def pid(supervisor: Supervisor) -> int:
    process = supervisor._process
    assert process is not None
    return process.pid


def test_a_dead_worker_is_replaced(kit: WorkersClinic, start: Callable[..., Supervisor]) -> None:
    supervisor = start()
    expected = kit.evaluate(supervisor)
    first = pid(supervisor)
    os.kill(first, signal.SIGKILL)
    while supervisor.alive:
        time.sleep(0.01)
    assert np.array_equal(kit.evaluate(supervisor), expected)
    assert pid(supervisor) != first


def test_a_worker_lost_during_a_request_is_said_and_replaced(
    kit: WorkersClinic, start: Callable[..., Supervisor]
) -> None:
    supervisor = start()
    os.kill(pid(supervisor), signal.SIGSTOP)
    threading.Timer(0.3, os.kill, (pid(supervisor), signal.SIGKILL)).start()
    assert refusal(lambda: kit.evaluate(supervisor)) == (503, "Worker lost")
    assert supervisor.alive
    assert kit.evaluate(supervisor) is not None


def test_a_native_fault_is_blamed_on_what_was_sent(kit: WorkersClinic, start: Callable[..., Supervisor]) -> None:
    supervisor = start()
    worker = pid(supervisor)
    os.kill(worker, signal.SIGSTOP)

    def crash() -> None:
        os.kill(worker, signal.SIGABRT)
        os.kill(worker, signal.SIGCONT)
        time.sleep(0.02)
        os.kill(worker, signal.SIGABRT)  # Concrete's own handler prints where it was, and lets the second one through

    threading.Timer(0.3, crash).start()
    assert refusal(lambda: kit.evaluate(supervisor)) == (422, "Evaluation failed")


def test_an_evaluation_past_its_time_is_stopped(kit: WorkersClinic, start: Callable[..., Supervisor]) -> None:
    supervisor = start(deadline=20)
    supervisor._deadline = 0.5
    os.kill(pid(supervisor), signal.SIGSTOP)
    assert refusal(lambda: kit.evaluate(supervisor)) == (504, "Evaluation too slow")
    supervisor._deadline = 60
    assert kit.evaluate(supervisor) is not None


def test_keys_deleted_meanwhile_do_not_cost_the_worker(
    kit: WorkersClinic, start: Callable[..., Supervisor], tmp_path: Path
) -> None:
    supervisor = start()
    first = pid(supervisor)
    gone = tmp_path / "gone"
    assert refusal(lambda: supervisor.evaluate(kit.served, gone, "gone", kit.ciphertext)) == (
        404,
        "Unknown evaluation keys",
    )
    assert refusal(lambda: supervisor.check_keys(tmp_path, "folder")) == (503, "Keys unreadable")
    assert pid(supervisor) == first


def test_stopping_does_not_wait_for_an_evaluation(kit: WorkersClinic, start: Callable[..., Supervisor]) -> None:
    supervisor = start()
    os.kill(pid(supervisor), signal.SIGSTOP)
    answers: list[tuple[int, str]] = []
    thread = threading.Thread(target=lambda: answers.append(refusal(lambda: kit.evaluate(supervisor))))
    thread.start()
    time.sleep(0.3)
    started = time.monotonic()
    supervisor.stop()
    thread.join(ENDS_SECONDS)
    assert time.monotonic() - started < ENDS_SECONDS
    assert answers == [(503, "Shutting down")]
    assert not supervisor.alive
    assert refusal(lambda: kit.evaluate(supervisor)) == (503, "Shutting down")


def test_a_model_without_server_segments_is_ready_too(start: Callable[..., Supervisor]) -> None:
    assert start(circuits=()).alive


@contextmanager
def serving(folder: Path, data: Path, environment: dict[str, str] | None = None) -> Iterator[tuple[Any, httpx.Client]]:
    """A service's process and a client for it; the process is killed at the end, whatever happened."""
    command = [
        sys.executable,
        "-m",
        "cryptml",
        "serve",
        str(folder),
        "--port",
        "0",
        "--data",
        str(data),
        "--insecure-anonymous",
    ]
    service = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    try:
        assert service.stdout is not None
        url = service.stdout.readline().split(" at ")[1].strip()
        with httpx.Client(base_url=url, timeout=PATIENCE_SECONDS) as http:
            yield service, http
    finally:
        service.kill()
        service.communicate()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc to see processes")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_service(
    number: signal.Signals, build_tiny: Callable[[str], Any], tmp_path: Path
) -> None:
    with serving(build_tiny("CCSCC").folder, tmp_path) as (service, http):
        wait_until_ready(http)
        (worker,) = children(service.pid)
        service.send_signal(number)
        service.wait(PATIENCE_SECONDS)
    wait_for_end(worker)


def test_a_full_store_and_a_broken_upload_are_answered(build_tiny: Callable[[str], Any], tmp_path: Path) -> None:
    """A disk that is full, by the service's own limit; an upload that breaks off leaves nothing."""
    folder = build_tiny("CCSSS").folder
    with serving(folder, tmp_path, {"CRYPTML_STORED_KEY_BYTES": str(1 << 20)}) as (service, http):
        spec = ClientBundle.load(folder / "client").server_steps[0].circuit
        answer = http.put(
            f"/v1/models/tiny/evaluation-keys/{'0' * 64}?segment=0",
            content=bytes(spec.parameters.evaluation_key_bytes),
            headers={"CryptML-Circuit": sha256(spec.client_specs)},
        )
        assert (answer.status_code, answer.json()["title"]) == (507, "No room for keys")
        service.terminate()
        assert "Traceback" not in service.stderr.read()
    assert not [left for left in (tmp_path / "evaluation-keys").rglob("*") if left.is_file()]


def test_a_worker_has_as_much_memory_as_it_is_given(kit: WorkersClinic) -> None:
    roomy = Supervisor(threads=1, cached_keys=4, deadline_seconds=60, memory_bytes=1 << 30)
    tight = Supervisor(threads=1, cached_keys=4, deadline_seconds=10, memory_bytes=-(1_200 << 20))
    try:
        roomy.start((kit.served,))
        np.testing.assert_array_equal(kit.evaluate(roomy), kit.evaluate(roomy))
        with pytest.raises(ServerError) as refused:
            kit.evaluate(tight)
        assert answered(refused.value)[0] in (422, 503, 504), "it ends, and says so"
    finally:
        roomy.stop()
        tight.stop()


def test_a_worker_that_takes_nothing_is_replaced(kit: WorkersClinic, start: Callable[..., Supervisor]) -> None:
    supervisor = start(deadline=1, circuits=())
    before = pid(supervisor)
    os.kill(before, signal.SIGSTOP)
    large = bytes(32 << 20)  # more than the pipe holds
    assert refusal(lambda: supervisor.evaluate(kit.served, kit.file, "keys", large)) == (503, "Worker lost")
    assert pid(supervisor) != before
    assert not Path(f"/proc/{before}").exists()


@pytest.mark.parametrize(
    "said",
    [
        b"no JSON",
        b"[]",
        b'{"ok": true}',
        b'{"ok": true, "evaluate_ms": NaN}',
        b'{"ok": true, "evaluate_ms": "1"}',
        b'{"ok": false}',
    ],
)
def test_an_answer_that_is_none_ends_the_worker(
    kit: WorkersClinic, start: Callable[..., Supervisor], said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of it must not be read as the next request's answer."""
    supervisor = start(circuits=())
    worker, connection = pid(supervisor), supervisor._connection
    assert connection is not None
    os.kill(worker, signal.SIGSTOP)  # it says nothing by itself
    monkeypatch.setattr(connection, "poll", lambda _: True)
    monkeypatch.setattr(connection, "recv_bytes", lambda _: said)
    assert refusal(lambda: kit.evaluate(supervisor)) == (503, "Worker lost")
    assert pid(supervisor) != worker
