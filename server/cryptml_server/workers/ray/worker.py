"""A worker on a node of a Ray cluster: places an actor there, hands it one request at a time, replaces it when it is lost."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from pathlib import Path
from typing import Any

from cryptml import __version__
from cryptml.cluster import last_line
from cryptml_server.base.errors import (
    ClusterFull,
    ClusterOutOfMemory,
    EvaluationTooSlow,
    KeysUnreadable,
    NoWorker,
    OtherVersion,
    ServerError,
    UnknownKeys,
    WorkerLost,
    restore_error,
)
from cryptml_server.base.models import Circuit
from cryptml_server.workers.failures import stopping
from cryptml_server.workers.loads import CircuitLoads, unavailable
from cryptml_server.workers.local import LOAD_SECONDS, START_SECONDS
from cryptml_server.workers.protocol import EvaluationResult, twice_if_lost
from cryptml_server.workers.ray.circuits import ShippedCircuits
from cryptml_server.workers.ray.node import Answer, NodeWorker
from cryptml_server.workers.ray.timings import USUAL_TIMINGS, RayTimings

NODE_DIGITS = 12
"""Of a node's id, in logs."""

_log = logging.getLogger(__name__)


class RayWorker:
    """Owner of one actor on a cluster; a `cryptml_server.workers.protocol.Worker`.

    Evaluation keys travel where the actor does not remember them. It ends with this process.

    Attributes:
        timings: See below; others count from the next request.

    Args:
        ray: The package, connected.
        shipped: Circuits, shared with the other workers.
        threads: Of the worker's evaluations, as many of a node's CPUs.
        cached_keys: Deserialised keys that it keeps.
        deadline_seconds: For one request.
        memory_bytes: Of the worker, 0 for no bound.
        timings: What it waits for.
    """

    def __init__(
        self,
        ray: Any,
        shipped: ShippedCircuits,
        *,
        threads: int,
        cached_keys: int,
        deadline_seconds: float,
        memory_bytes: int = 0,
        timings: RayTimings = USUAL_TIMINGS,
    ) -> None:
        self.timings = timings
        self._memory_bytes = memory_bytes
        self._ray = ray
        self._shipped = shipped
        self._threads = threads
        self._cached_keys = cached_keys
        self._deadline = deadline_seconds
        self._lock = threading.Lock()
        self._circuits: tuple[Circuit, ...] = ()
        self._numbers: dict[Path, int] = {}
        self._actor: Any = None
        self._ready: Any = None
        self._end: Any = None
        self._stopping = False
        self.node = ""
        self.process = 0
        self.keys_sent = 0
        self.answered = -math.inf
        self.loads = CircuitLoads()
        self._evaluating: int | None = None
        self._interrupted = False

    def start(self, circuits: tuple[Circuit, ...]) -> None:
        """See `Worker.start`."""
        self._circuits = circuits
        self._numbers = {circuit.folder: number for number, circuit in enumerate(circuits)}
        self.loads.want(circuits)
        self.revive()
        self.load()

    def load(self) -> None:
        """See `Worker.load`."""
        self._interrupted = False
        self.loads.try_due(self._load)

    def _load(self, circuit: Circuit) -> None:
        """Load one circuit, and note what came of it."""
        self.revive()
        number = self._numbers[circuit.folder]
        try:
            twice_if_lost(
                lambda: self._request("load", number, seconds=LOAD_SECONDS + START_SECONDS), lambda: self._interrupted
            )
        except ServerError as problem:
            if self._interrupted or self._end is None:  # no actor: the cluster is to blame, or who ended it
                raise
            self.loads.failed(circuit)
            _log.error("segment %d of model %s does not load: %s", circuit.index, circuit.model, problem.detail)
            raise unavailable(circuit) from problem
        self.loads.loaded(circuit)

    def ping(self) -> None:
        """See `Worker.ping`; the node replaces a worker process that does not answer."""
        answer, _ = self._request("ping", seconds=START_SECONDS)
        before, self._evaluating = self._evaluating, answer["process"]
        if before not in (None, self._evaluating):
            self.loads.reset()

    @property
    def alive(self) -> bool:
        """Whether the actor stands by, as far as the cluster knows."""
        end = self._end
        return end is not None and not self._ray.wait([end], timeout=0)[0]

    def check_keys(self, path: Path, name: str) -> None:
        """See `Worker.check_keys`."""
        self._request("check_keys", name, keys=path)

    def evaluate(self, circuit: Circuit, keys: Path, name: str, ciphertext: bytes) -> EvaluationResult:
        """See `Worker.evaluate`."""
        self._interrupted = False
        if not self.alive:
            self.revive()
        if self.loads.lacks(circuit):
            self._load(circuit)
        answer, result = self._request("evaluate", self._numbers[circuit.folder], name, ciphertext, keys=keys)
        return EvaluationResult(result, answer["evaluate_ms"])

    def revive(self) -> None:
        """See `Worker.revive`; the next request would do so too."""
        with self._lock:
            self._connect()

    def forget(self, name: str) -> None:
        """See `Worker.forget`."""
        self._request("forget", name)

    def interrupt(self) -> None:
        """See `Worker.interrupt`."""
        self._interrupted = True
        self._kill(self._actor)  # ends what the request that holds the lock waits for

    def stop(self) -> None:
        """See `Worker.stop`; requests that wait are told to come back."""
        self._stopping = True
        if self._lock.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._lock.release()
        self.interrupt()
        with self._lock:
            self._discard()

    def _close(self) -> None:
        if self.alive:
            try:
                self._ray.get(self._actor.close.remote(), timeout=self.timings.close)
            except self._ray.exceptions.RayError as error:
                _log.info("a worker was not closed in time (%s)", type(error).__name__)

    def _request(
        self, what: str, *given: object, keys: Path | None = None, seconds: float | None = None
    ) -> tuple[dict[str, Any], bytes]:
        """Return an actor's answer; where keys belong to the request, send them along if it says that it needs them."""
        with self._lock:
            self._connect()
            deadline = time.monotonic() + (self._deadline if seconds is None else seconds)
            if keys is None:
                answer, result = self._exchange(what, given, deadline)
            else:
                answer, result = self._exchange(what, (*given, None), deadline)
                if answer.get("needs_keys"):
                    answer, result = self._exchange(what, (*given, self._send(keys)), deadline)
            self.answered = time.monotonic()
        if answer.get("ok"):
            return answer, result
        if answer["lost"]:
            self.loads.reset()  # the node has another process in its place
        raise restore_error(answer["kind"], answer["detail"], retry_after=answer["retry_after"], lost=answer["lost"])

    def _exchange(self, what: str, given: tuple[object, ...], deadline: float) -> tuple[dict[str, Any], bytes]:
        errors = self._ray.exceptions
        try:
            left = max(0.0, deadline - time.monotonic()) + self.timings.back
            answer: Answer = self._ray.get(getattr(self._actor, what).remote(*given), timeout=left)
        except errors.GetTimeoutError as error:
            self._discard()
            raise EvaluationTooSlow(f"the evaluation took more than {self._deadline:g} s and was stopped") from error
        except errors.RayError as error:
            node = self.node
            self._discard()
            self._require_going_on(error)
            where, kind = node[:NODE_DIGITS], type(error).__name__
            _log.error("the worker on node %s was lost during %s (%s); a new one will be started", where, what, kind)
            self._place()
            raise WorkerLost("the worker ended during the request; try again", retry_after=5) from error
        return json.loads(answer[0]), answer[1]

    def _send(self, keys: Path) -> Any:
        """Put evaluation keys into the cluster's memory, as long as the request that needs them takes."""
        try:
            found = self._ray.put(keys.read_bytes())
        except FileNotFoundError as error:  # deleted while the request waited
            raise UnknownKeys("the evaluation keys were deleted; upload them again") from error
        except OSError as error:
            raise KeysUnreadable(f"the keys cannot be read ({error.strerror}); try later", retry_after=60) from error
        except self._ray.exceptions.RayError as error:
            raise ClusterOutOfMemory("the keys cannot be sent to the worker; try later", retry_after=60) from error
        self.keys_sent += 1
        return found

    def _connect(self) -> None:
        """Have an actor that is ready.

        Raises:
            ClusterFull: If no node has room in time.
            NoWorker: If none can be started.
            OtherVersion: If the nodes run another version.
        """
        self._require_going_on()
        if self._end is not None and not self.alive:
            self._discard()
        if self._end is not None:
            return
        if self._actor is None:
            self._place()
        if not self._ray.wait([self._ready], timeout=self.timings.place)[0]:
            raise ClusterFull(
                f"no node had {self._threads} free CPUs within {self.timings.place:g} s; try again later",
                retry_after=30,
            )
        try:
            self.node, self.process, version = self._ray.get(self._ready, timeout=self.timings.back)
        except self._ray.exceptions.RayError as error:
            self._discard()
            self._require_going_on(error)
            _log.error("a worker could not be started on the cluster: %s", last_line(error))
            raise NoWorker(
                "no worker can be started on the cluster; the service's log says why", retry_after=30
            ) from error
        if version != __version__:
            self._discard()
            raise OtherVersion(
                f"a node of the cluster has version {version} of cryptml, the service {__version__}; install the same one",
                retry_after=60,
            )
        self._end = self._actor.watch.remote()

    def _place(self) -> None:
        """Ask the cluster for an actor; it takes its place as soon as a node has room."""
        actor = self._ray.remote(NodeWorker).options(
            num_cpus=self._threads,
            max_restarts=0,
            max_concurrency=2,  # one request, and `watch`
            scheduling_strategy="SPREAD",
        )
        circuits = [self._shipped.reference(circuit.folder) for circuit in self._circuits]
        self._actor = actor.remote(self._threads, self._cached_keys, self._deadline, self._memory_bytes, *circuits)
        self._ready = self._actor.describe.remote()

    def _discard(self) -> None:
        actor = self._actor
        self._actor = self._ready = self._end = self._evaluating = None
        self.loads.reset()
        self._kill(actor)

    def _kill(self, actor: Any) -> None:
        if actor is not None:
            try:
                self._ray.kill(actor)
            except (self._ray.exceptions.RayError, ValueError, RuntimeError) as error:
                _log.info("a worker could not be ended (%s); it ends with the service", type(error).__name__)

    def _require_going_on(self, error: Exception | None = None) -> None:
        if self._stopping:
            raise stopping() from error
