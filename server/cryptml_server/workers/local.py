"""Starts the worker process, hands it one request at a time, replaces it when it dies or takes too long."""

from __future__ import annotations

import json
import logging
import math
import os
import socket
import struct
import subprocess
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cryptml.processes.answering import FOLLOWS
from cryptml.processes.environment import reduced_environment
from cryptml.processes.spawning import spawn
from cryptml_server.base.errors import (
    EvaluationTooSlow,
    NoWorker,
    ServerError,
    ServiceStopping,
    WorkerLost,
)
from cryptml_server.base.models import Circuit
from cryptml_server.workers.failures import lost_worker, refusal_of, stopping
from cryptml_server.workers.loads import CircuitLoads, unavailable
from cryptml_server.workers.protocol import EvaluationResult, twice_if_lost

_log = logging.getLogger(__name__)

MOST_HEAD_BYTES = 1 << 16

MOST_RESULT_BYTES = 1 << 30
"""What is taken from a worker, which native code may have taken over."""

GRACE_SECONDS = 1.0
"""A worker whose pipe is closed, or that broke off, gets so long to end with its own exit code; one that is stuck is killed then."""

PING_SECONDS = 5.0
"""What an idle worker gets to answer that it is there."""

LOAD_SECONDS = 60.0
"""For loading a circuit, which takes a moment where its disk answers."""

START_SECONDS = 60.0
"""What a new one gets for its first answer: it imports Concrete before."""


class Supervisor:
    """Owner of one worker process on this machine; a `cryptml_server.workers.protocol.Worker`.

    Args:
        threads: Of the worker's evaluations.
        cached_keys: Deserialised keys that it keeps.
        deadline_seconds: For one request, and for a worker to take or give one more piece of a message; it is killed after it.
        memory_bytes: Of the worker, 0 for no bound.
    """

    def __init__(self, *, threads: int, cached_keys: int, deadline_seconds: float, memory_bytes: int = 0) -> None:
        self._memory_bytes = memory_bytes
        self._threads = threads
        self._cached_keys = cached_keys
        self._deadline = deadline_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._stopping = False
        self._new = True
        self._interrupted = False
        self.answered = -math.inf
        self.loads = CircuitLoads()

    def start(self, circuits: tuple[Circuit, ...]) -> None:
        """See `Worker.start`."""
        self.loads.want(circuits)
        self.revive()
        self.load()

    def load(self) -> None:
        """See `Worker.load`."""
        self._interrupted = False
        self.loads.try_due(self._load)

    def _load(self, circuit: Circuit) -> None:
        """Load one circuit, and note what came of it.

        Raises:
            CircuitUnavailable: If it does not load, whatever became of the process meanwhile.
        """
        head = {"do": "load", "circuit": str(circuit.folder)}

        def request() -> None:
            self.request(head, seconds=LOAD_SECONDS + (START_SECONDS if self._new else 0))

        try:
            twice_if_lost(request, lambda: self._interrupted)
        except ServerError as problem:
            if self._interrupted or isinstance(problem, NoWorker | ServiceStopping):  # no circuit is to blame
                raise
            self.loads.failed(circuit)
            _log.error("segment %d of model %s does not load: %s", circuit.index, circuit.model, problem.detail)
            raise unavailable(circuit) from problem
        self.loads.loaded(circuit)

    def ping(self) -> None:
        """See `Worker.ping`; a process that has not answered yet gets longer."""
        seconds = START_SECONDS if self._new else PING_SECONDS
        try:
            self.request({"do": "ping"}, seconds=seconds)
        except EvaluationTooSlow as error:
            _log.error("the worker did not answer within %g s while nothing was asked of it; it is replaced", seconds)
            raise WorkerLost("an idle worker did not answer, and was replaced") from error

    @property
    def alive(self) -> bool:
        """Whether the worker process runs."""
        process = self._process
        return process is not None and process.poll() is None

    @property
    def process(self) -> int | None:
        """The worker process's id; None where there is none."""
        process = self._process
        return None if process is None else process.pid

    def check_keys(self, path: Path, name: str) -> None:
        """See `Worker.check_keys`."""
        self.request({"do": "check_keys", "keys": str(path), "name": name}, b"")

    def evaluate(self, circuit: Circuit, keys: Path, name: str, ciphertext: bytes) -> EvaluationResult:
        """See `Worker.evaluate`."""
        self._interrupted = False
        if not self.alive:
            self.revive()
        if self.loads.lacks(circuit):
            self._load(circuit)
        head = {"do": "evaluate", "circuit": str(circuit.folder), "keys": str(keys), "name": name}
        answer, result = self.request(head, ciphertext)
        return EvaluationResult(result, answer["evaluate_ms"])

    def revive(self) -> None:
        """See `Worker.revive`; the next request would do so too."""
        with self._lock:
            self._connect()

    def forget(self, name: str) -> None:
        """See `Worker.forget`."""
        self.request({"do": "forget", "name": name}, b"")

    def interrupt(self) -> None:
        """See `Worker.interrupt`."""
        self._interrupted = True
        process = self._process
        if process is not None:
            process.kill()  # breaks the pipe of the request that holds the lock

    def stop(self) -> None:
        """See `Worker.stop`; requests that wait are told to come back."""
        self._stopping = True
        if self._lock.acquire(blocking=False):  # nothing is asked of it: it ends by itself
            try:
                self._discard()
            finally:
                self._lock.release()
        self.interrupt()
        with self._lock:
            self._discard()

    def request(
        self, head: dict[str, Any], payload: bytes = b"", *, seconds: float | None = None
    ) -> tuple[dict[str, Any], bytes]:
        """Return what `cryptml_server.workers.process.WorkerProcess.handle` answers in the worker process.

        Args:
            head: What to do.
            payload: Of an evaluation.
            seconds: To wait, if not as long as for an evaluation.

        Raises:
            WorkerLost: If the worker ended during it.
            EvaluationTooSlow: Past the deadline.
            ServerError: What it refuses.
        """
        with self._lock:
            answer, result = self._exchange(head, payload, self._deadline if seconds is None else seconds)
            self.answered = time.monotonic()
            self._new = False
        if not answer["ok"]:
            raise refusal_of(answer)
        return answer, result

    def _exchange(self, head: dict[str, Any], payload: bytes, seconds: float) -> tuple[dict[str, Any], bytes]:
        connection = self._connect()
        try:
            evaluates = head["do"] == "evaluate"
            connection.send_bytes(json.dumps({**head, FOLLOWS: evaluates}).encode())
            if evaluates:
                connection.send_bytes(payload)
            if not connection.poll(seconds):
                self._discard()
                self._connect()
                raise EvaluationTooSlow(f"the evaluation took more than {seconds:g} s and was stopped")
            answer = self._checked(head, connection.recv_bytes(MOST_HEAD_BYTES))
            result = connection.recv_bytes(MOST_RESULT_BYTES) if answer["ok"] and evaluates else b""
        except (EOFError, OSError) as error:
            code = self._discard()
            if self._stopping:
                raise stopping() from error
            self._connect()
            _log.error("the worker ended with code %s during %s; a new one will be started", code, head["do"])
            raise lost_worker(code) from error
        except ServerError:
            raise
        except BaseException:
            self._discard()  # the next request must not read what is left of this one's answer
            raise
        return answer, result

    def _checked(self, head: dict[str, Any], said: bytes) -> dict[str, Any]:
        """Return a worker's answer, if it is one: native code may have written it.

        Raises:
            OSError: If it is none.
        """
        try:
            answer = json.loads(said)
            if not answer["ok"]:
                return {"ok": False, "kind": str(answer["kind"]), "detail": str(answer["detail"])}
            if head["do"] == "evaluate" and not 0 <= answer["evaluate_ms"] <= 1000 * self._deadline:
                raise ValueError("no time that an evaluation takes")
        except (ValueError, LookupError, TypeError) as error:
            raise OSError(0, "the worker answered something that is no answer") from error
        return answer

    def _connect(self) -> Connection:
        if self._connection is not None and self.alive:
            return self._connection
        if self._stopping:
            raise stopping()
        self._discard()
        try:
            self._process, self._connection = spawn(
                "cryptml_server.workers.process",
                str(self._cached_keys),
                str(self._memory_bytes),
                threads=self._threads,
                environment=reduced_environment(),
                new_session=True,
            )
        except OSError as error:
            raise NoWorker(f"no worker can be started ({error.strerror}); try later", retry_after=30) from error
        self._bound_transfers(self._connection)
        if self._stopping:  # since it was asked above: `stop` found the process before this one
            self._discard()
            raise stopping()
        return self._connection

    def _bound_transfers(self, connection: Connection) -> None:
        """Let neither end wait for the other for longer than a request may take, with one more piece of a message."""
        bound = struct.pack("ll", math.ceil(self._deadline), 0)  # a timeval
        with socket.socket(fileno=os.dup(connection.fileno())) as ours:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, bound)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bound)

    def _discard(self) -> int | None:
        """Close the pipe and end the process; return its exit code, its own where it was ending already."""
        connection, process = self._connection, self._process
        self._connection = self._process = None
        self.loads.reset()
        self._new = True
        if connection is not None:
            connection.close()
        if process is None:
            return None
        if process.poll() is None:
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.wait()
