"""What runs on a node of a Ray cluster: the owner of one worker process there, which evaluates as on the service's own machine.

Native code meets hostile bytes in that process alone, as everywhere. Between the service and a node go text and bytes, nothing else.
"""

from __future__ import annotations

import json
import logging
import os
import time
from typing import Any

from cryptml import __version__
from cryptml.cluster import ray_library
from cryptml.node_folder import NodeFolder
from cryptml_server.base.errors import KeysUnreadable, ServerError, UnknownKeys, WorkerLost
from cryptml_server.workers.local import Supervisor

Files = tuple[tuple[str, bytes], ...]
"""Names and contents of a circuit's folder."""

Answer = tuple[str, bytes]
"""A head, JSON, and a ciphertext. The head says ``ok``, or ``needs_keys``, or what the problem is."""

WATCH_SECONDS = 1.0

_log = logging.getLogger(__name__)


class NodeWorker:
    """An actor: see `cryptml_server.workers.ray_worker.RayWorker`, which owns it.

    Args:
        threads: Of the worker's evaluations.
        cached_keys: Deserialised keys that it keeps.
        deadline_seconds: For one request.
        memory_bytes: Of the worker, 0 for no bound.
        circuits: The folders that it evaluates, by their numbers.
    """

    def __init__(
        self, threads: int, cached_keys: int, deadline_seconds: float, memory_bytes: int, *circuits: Files
    ) -> None:
        self._folder = NodeFolder()
        self._circuits = [self._folder.write(f"circuit-{number}", files) for number, files in enumerate(circuits)]
        self._keys = self._folder.path / "evaluation-keys"
        self._supervisor = Supervisor(
            threads=threads, cached_keys=cached_keys, deadline_seconds=deadline_seconds, memory_bytes=memory_bytes
        )
        self._supervisor.revive()

    def describe(self) -> tuple[str, int, str]:
        """Return the node's id, this process's and the version of this package."""
        return str(ray_library().get_runtime_context().get_node_id()), os.getpid(), __version__

    def load(self, circuit: int) -> Answer:
        """Let the worker load a circuit."""
        return self._request({"do": "load", "circuit": str(self._circuits[circuit])})

    def ping(self) -> Answer:
        """Say that the worker answers, and which process it is: one that died is replaced here, and has no circuits."""
        try:
            self._supervisor.ping()
        except ServerError as problem:
            return _problem(problem), b""
        return json.dumps({"ok": True, "process": self._supervisor.process}), b""

    def check_keys(self, name: str, keys: bytes | None) -> Answer:
        """Deserialise keys; see `_with_keys`."""
        return self._with_keys({"do": "check_keys", "name": name}, b"", keys)

    def evaluate(self, circuit: int, name: str, ciphertext: bytes, keys: bytes | None) -> Answer:
        """Evaluate a circuit; see `_with_keys`."""
        folder = str(self._circuits[circuit])
        return self._with_keys({"do": "evaluate", "circuit": folder, "name": name}, ciphertext, keys)

    def forget(self, name: str) -> Answer:
        """Let the worker drop keys."""
        return self._request({"do": "forget", "name": name})

    def watch(self) -> None:
        """Start the worker again where it has died; never returns, so that whoever waits for it learns of this process's end."""
        while True:
            time.sleep(WATCH_SECONDS)
            try:
                if not self._supervisor.alive:
                    self._supervisor.revive()
            except ServerError as problem:
                _log.warning("a worker could not be started (%s)", problem.kind)

    def close(self) -> None:
        """End the worker and leave nothing on this machine."""
        self._supervisor.stop()
        self._folder.remove()

    def _with_keys(self, head: dict[str, Any], payload: bytes, keys: bytes | None) -> Answer:
        """Hand a request on with keys that lie in a file as long as it takes; without any, say so where the worker does not have them."""
        try:
            if keys is not None:
                self._keys.write_bytes(keys)
            answer = self._request({**head, "keys": str(self._keys)}, payload)
        except OSError as error:
            detail = f"the keys cannot be written on the node ({error.strerror}); try later"
            return _problem(KeysUnreadable(detail, retry_after=60)), b""
        finally:
            self._keys.unlink(missing_ok=True)
        unknown = json.loads(answer[0]).get("kind") == UnknownKeys.kind
        return (json.dumps({"needs_keys": True}), b"") if keys is None and unknown else answer

    def _request(self, head: dict[str, Any], payload: bytes = b"") -> Answer:
        try:
            answer, result = self._supervisor.request(head, payload)
        except ServerError as problem:
            return _problem(problem), b""
        return json.dumps(answer), result


def _problem(problem: ServerError) -> str:
    return json.dumps(
        {
            "kind": problem.kind,
            "detail": problem.detail,
            "retry_after": problem.retry_after,
            "lost": isinstance(problem, WorkerLost),
        }
    )
