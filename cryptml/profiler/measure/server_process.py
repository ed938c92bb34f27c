"""The process that does what a service's worker does with one circuit (``python -m``, see `cryptml.processes.answering`)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from cryptml.errors import MeasurementError
from cryptml.fhe.engine import fhe
from cryptml.fhe.server import ServerCircuit, load_evaluation_keys
from cryptml.files import sha256, write_bytes
from cryptml.processes.answering import answer, milliseconds_since
from cryptml.processes.memory import peak_resident_bytes, reset_peak, resident_bytes


class MeasuredServer:
    """State between the requests of one measurement."""

    def __init__(self) -> None:
        self._circuit: ServerCircuit | None = None
        self._keys: fhe.EvaluationKeys | None = None
        self._held: list[fhe.EvaluationKeys] = []

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

    def load_circuit(self, request: dict[str, Any]) -> dict[str, Any]:
        """Load the circuit in ``circuit`` alone, and say what the process holds then."""
        self._circuit = ServerCircuit(Path(request["circuit"]))
        return {"resident_bytes": resident_bytes()}

    def hold_keys(self, request: dict[str, Any]) -> dict[str, Any]:
        """Load evaluation keys beside those that are held already, as a worker does that caches several, and say what that took."""
        reset_peak()
        self._keys = load_evaluation_keys(Path(request["keys"]).read_bytes())
        self._held.append(self._keys)
        return self.memory(request)

    def use_keys(self, request: dict[str, Any]) -> dict[str, Any]:
        """Evaluate ``input`` with the keys held last, to nothing, and say what that took."""
        if self._circuit is None or self._keys is None:
            raise MeasurementError("there is no circuit or no key yet; load_circuit and hold_keys come first")
        ciphertext = Path(request["input"]).read_bytes()
        reset_peak()
        self._circuit.evaluate(ciphertext, self._keys)
        return self.memory(request)

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
    answer(
        {
            "baseline": server.baseline,
            "load": server.load,
            "load_circuit": server.load_circuit,
            "hold_keys": server.hold_keys,
            "use_keys": server.use_keys,
            "evaluate": server.evaluate,
            "memory": server.memory,
        }
    )
