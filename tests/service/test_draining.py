"""A service with a circuit that is told to end while its worker is at it."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from benchmarks.machine import children
from cryptml.bundle import ClientBundle
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.files import sha256
from cryptml.verification.local_service import LocalService, local_service

pytestmark = pytest.mark.encrypted

SECONDS = 20


class Asking:
    """A client with keys at a service, and an evaluation that it waits for."""

    def __init__(self, service: LocalService, bundle: Path) -> None:
        (step,) = ClientBundle.load(bundle / "client").server_steps
        keys = KeySet.generate(step.circuit)
        self.client = ClientCircuit(step.circuit, keys)
        self.values = np.ones((1, *step.circuit.reads.shape), dtype=np.int64)
        self.http = httpx.Client(base_url=service.url, timeout=60)
        self.headers = {"CryptML-Circuit": sha256(step.circuit.client_specs), "CryptML-Evaluation-Keys": keys.digest}
        path = f"/v1/models/tiny/evaluation-keys/{keys.digest}"
        stored = self.http.put(path, params={"segment": 0}, content=keys.evaluation_keys, headers=self.headers)
        assert stored.status_code == 201
        self.answers: list[httpx.Response] = []
        self.thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        body = self.client.encrypt(self.values)
        self.answers.append(
            self.http.post("/v1/models/tiny/segments/0/evaluations", content=body, headers=self.headers)
        )


def worker_of(service: LocalService) -> int:
    (worker,) = children(service.pid)
    return worker


def ended(pid: int) -> bool:
    """Wait for a process to end; one that nobody has asked about yet has ended too."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("stuck", [False, True])
def test_an_evaluation_is_finished_or_told_to_come_back(build_tiny: Any, tmp_path: Path, stuck: bool) -> None:
    bundle = build_tiny("CCSCC").folder
    seconds = {"CRYPTML_DRAIN_SECONDS": "1" if stuck else "60"}
    with local_service([bundle], tmp_path / "data", seconds) as service:
        asking, worker = Asking(service, bundle), worker_of(service)
        os.kill(worker, signal.SIGSTOP)  # as long as an evaluation may take
        asking.thread.start()
        time.sleep(1)
        os.kill(service.pid, signal.SIGTERM)
        if not stuck:
            time.sleep(1)
            os.kill(worker, signal.SIGCONT)
        asking.thread.join(SECONDS)
        (answer,) = asking.answers
        if stuck:
            assert (answer.status_code, answer.json()["title"]) == (503, "Shutting down")
            assert int(answer.headers["retry-after"]) > 0
        else:
            assert answer.status_code == 200
            assert asking.client.decrypt(answer.content).shape[0] == 1
        assert ended(service.pid)
        assert ended(worker)
