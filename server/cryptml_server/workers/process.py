"""The worker process: the only place where native evaluation code runs.

It speaks over one pipe: a JSON head, then a payload where the head says so. Started as
``python -m cryptml_server.workers.process FD OWNER CACHED_KEYS MEMORY_BYTES``; it ends when the pipe closes. It never sees a secret key.
"""

from __future__ import annotations

import math
import os
import resource
import sys
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from cryptml.errors import CryptmlError
from cryptml.fhe.concrete import fhe
from cryptml.fhe.server import ServerCircuit, load_evaluation_keys
from cryptml.processes.answering import converse
from cryptml.processes.memory import resident_bytes
from cryptml_server.workers.failures import kind_of

RESERVED_BYTES = 1_400 << 20
"""Address space that Concrete's runtime (HPX) takes for its threads' stacks at the first evaluation and does not fill: 1,361,840 kB of
VmData, and 7 MB in memory, for two threads."""

KEYS_SHARE = 0.6
"""Of a worker's memory, beyond which keys that are not needed now make room for those that are."""


class WorkerProcess:
    """Evaluates requests one after another.

    Args:
        cached_keys: Deserialised evaluation keys kept, the least recently used dropped first.
        memory_bytes: Of this process, 0 for no bound; some of it is left for what evaluations need beside keys.
    """

    def __init__(self, cached_keys: int, memory_bytes: int = 0) -> None:
        self._cached_keys = cached_keys
        self._crowded_bytes = memory_bytes * KEYS_SHARE or math.inf
        self._keys: OrderedDict[str, fhe.EvaluationKeys] = OrderedDict()
        self._circuits: dict[str, ServerCircuit] = {}

    def handle(self, head: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes | None]:
        """Return the answer's head and payload for a request's."""
        try:
            match head["do"]:
                case "load":
                    self._circuit(head["circuit"])
                    return {"ok": True}, None
                case "ping":
                    return {"ok": True}, None
                case "forget":
                    self._keys.pop(head["name"], None)
                    return {"ok": True}, None
                case "check_keys":
                    self._load_keys(head["keys"], head["name"])
                    return {"ok": True}, None
                case _:
                    return self._evaluate(head, payload)
        except CryptmlError as error:
            return {"ok": False, "kind": kind_of(error), "detail": str(error)}, None
        except FileNotFoundError:  # deleted while the request waited
            return {
                "ok": False,
                "kind": "keys-deleted",
                "detail": "the evaluation keys were deleted; upload them again",
            }, None
        except OSError as error:
            return {
                "ok": False,
                "kind": "keys-unreadable",
                "detail": f"the keys cannot be read ({error.strerror}); try later",
            }, None
        except MemoryError:
            return {"ok": False, "kind": "out-of-memory", "detail": "the worker's memory does not suffice"}, None

    def _evaluate(self, head: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        keys = self._load_keys(head["keys"], head["name"])
        circuit = self._circuit(head["circuit"])
        started = time.perf_counter()
        result = circuit.evaluate(payload, keys)
        return {"ok": True, "evaluate_ms": (time.perf_counter() - started) * 1000}, result

    def _circuit(self, folder: str) -> ServerCircuit:
        if folder not in self._circuits:
            self._circuits[folder] = ServerCircuit(Path(folder))
        return self._circuits[folder]

    def _load_keys(self, path: str, name: str) -> fhe.EvaluationKeys:
        if name not in self._keys:
            while self._keys and (
                len(self._keys) >= self._cached_keys or resident_bytes(os.getpid()) > self._crowded_bytes
            ):
                self._keys.popitem(last=False)  # before the new ones are read, so that memory never holds one too many
            self._keys[name] = load_evaluation_keys(Path(path).read_bytes())
        self._keys.move_to_end(name)
        return self._keys[name]


def main() -> None:
    """Answer requests until the pipe closes or the service is gone."""
    cached_keys, memory_bytes = (int(given) for given in sys.argv[3:5])
    if memory_bytes:  # native code that wants more ends this process, which its supervisor replaces
        most = memory_bytes + RESERVED_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    converse(WorkerProcess(cached_keys, memory_bytes).handle)


if __name__ == "__main__":
    main()
