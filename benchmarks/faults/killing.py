"""Faults that end processes of the service."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx

from benchmarks.faults.trial import TENANTS, Trial
from cryptml.errors import CryptmlError
from cryptml.verification.local_service import LocalService


def kill_workers(trial: Trial, times: int) -> None:
    """Kill the worker in the middle of an evaluation, again and again."""
    with trial.service() as running:
        trial.upload(running, trial.tokens)
        for number in range(times):
            token = trial.tokens[number % TENANTS]
            job = trial.submit(running, token)
            if job is None:
                raise CryptmlError("a job was refused by a service with nothing to do")
            trial.wait_for(running, token, job, ("running", "done"))
            time.sleep(0.005 * (number % 8))
            for pid in trial.workers(running):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        trial.check(running)


def kill_services(trial: Trial, times: int) -> None:
    """Kill the service with jobs at work and waiting and an upload on its way, and start it again."""
    body = trial.clinic.keys.evaluation_keys
    half = len(body) // 2
    for number in range(times):
        token, other = trial.tokens[number % TENANTS], trial.tokens[(number + 1) % TENANTS]
        with trial.service() as running:
            trial.upload(running, [token])
            jobs = [trial.submit(running, token) for _ in range(3)]
            with trial.http(running, other) as http:
                http.delete(trial.clinic.keys_path, params={"segment": 0})
            sending = threading.Thread(target=_send_slowly, args=(trial, running, other, body[:half]))
            sending.start()
            trial.wait_for(running, token, jobs[0] or "", ("running", "done"))
            time.sleep(0.02 * (number % 5))
            os.kill(running.pid, signal.SIGKILL)
            sending.join()
    with trial.service() as running:
        trial.upload(running, trial.tokens)
        trial.check(running)


def _send_slowly(trial: Trial, running: LocalService, token: str, part: bytes) -> None:
    head = {
        "CryptML-Circuit": trial.clinic.identity,
        "Upload-Offset": "0",
        "Upload-Length": str(len(trial.clinic.keys.evaluation_keys)),
    }

    def blocks() -> Iterator[bytes]:
        for start in range(0, len(part), 1 + len(part) // 50):
            yield part[start : start + 1 + len(part) // 50]
            time.sleep(0.02)

    with suppress(httpx.HTTPError), trial.http(running, token) as http:
        http.patch(trial.clinic.keys_path, params={"segment": 0}, content=blocks(), headers=head)
