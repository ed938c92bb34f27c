"""A service with a circuit that is told to end while its worker is at it."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.machine import children
from cryptml.bundle import ServerBundle
from cryptml.verification.local_service import LocalService, local_service
from tests.service.clinic import Clinic
from tests.waiting import wait_for_end

pytestmark = pytest.mark.encrypted

SECONDS = 20


class Asking:
    """A client with keys at a service, and an evaluation that it waits for."""

    def __init__(self, service: LocalService, bundle: ServerBundle) -> None:
        self.clinic = Clinic(bundle)
        self.http = httpx.Client(base_url=service.url, timeout=60)
        self.clinic.upload(self.http)
        self.answers: list[httpx.Response] = []
        self.thread = threading.Thread(target=lambda: self.answers.append(self.clinic.ask(self.http)))


def worker_of(service: LocalService) -> int:
    (worker,) = children(service.pid)
    return worker


@pytest.mark.parametrize("stuck", [False, True])
def test_an_evaluation_is_finished_or_told_to_come_back(build_tiny: Any, tmp_path: Path, stuck: bool) -> None:
    bundle = build_tiny("CCSCC")
    seconds = {"CRYPTML_DRAIN_SECONDS": "1" if stuck else "60"}
    with local_service([bundle.folder], tmp_path / "data", seconds) as service:
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
            assert asking.clinic.client.decrypt(answer.content).shape[0] == 1
        wait_for_end(service.pid, seconds=SECONDS)
        wait_for_end(worker, seconds=SECONDS)
