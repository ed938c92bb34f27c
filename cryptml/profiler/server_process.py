"""The process that does what a service's worker does with one circuit (``python -m``, see `cryptml.profiler.answering`)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from concrete import fhe

from cryptml.errors import MeasurementError
from cryptml.fhe.server import ServerCircuit, load_evaluation_keys
from cryptml.files import sha256, write_bytes
from cryptml.profiler.answering import answer, milliseconds_since
from cryptml.profiler.memory import peak_resident_bytes, resident_bytes


class MeasuredServer:
    """State between the requests of one measurement."""

    def __init__(self) -> None:
        self._circuit: ServerCircuit | None = None
        self._keys: fhe.EvaluationKeys | None = None

    def baseline(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Say what the process holds before it has done anything."""
        return {"resident_bytes": resident_bytes()}

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        """Load the circuit in ``circuit``, and store and load the evaluation keys in ``keys``, as a service does on an upload."""
        self._circuit = ServerCircuit(Path(request["circuit"]))
        keys = Path(request["keys"])
        data = keys.read_bytes()
        keys.unlink()
        started = time.perf_counter()
        sha256(data)
        write_bytes(keys, data)
        del data
        self._keys = load_evaluation_keys(keys.read_bytes())
        return {"load_keys_ms": milliseconds_since(started)}

    def evaluate(self, request: dict[str, Any]) -> dict[str, Any]:
        """Evaluate ``input`` to ``output``."""
        if self._circuit is None or self._keys is None:
            raise MeasurementError("there is no circuit yet; load comes first")
        ciphertext = Path(request["input"]).read_bytes()
        started = time.perf_counter()
        result = self._circuit.evaluate(ciphertext, self._keys)
        elapsed = milliseconds_since(started)
        Path(request["output"]).write_bytes(result)
        return {"evaluate_ms": elapsed}

    def memory(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Say what the process holds and the most that it held."""
        return {"resident_bytes": resident_bytes(), "peak_bytes": peak_resident_bytes()}


if __name__ == "__main__":
    server = MeasuredServer()
    answer({"baseline": server.baseline, "load": server.load, "evaluate": server.evaluate, "memory": server.memory})
