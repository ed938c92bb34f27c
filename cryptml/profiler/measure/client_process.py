"""The process that does what a client does with one circuit (``python -m``, see `cryptml.processes.answering`).

Its secret key stays in its memory. It makes, keeps and serialises keys in the order of a real client, so that its peak is one.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from cryptml.errors import MeasurementError
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.files import sha256
from cryptml.processes.answering import answer, milliseconds_since
from cryptml.processes.memory import peak_resident_bytes, reset_peak, resident_bytes
from cryptml.profiler.measure.compiled_folder import read_spec


class MeasuredClient:
    """State between the requests of one measurement."""

    def __init__(self) -> None:
        self._circuit: ClientCircuit | None = None
        self._key_set: KeySet | None = None
        self._peak_is_of_answers = False

    def baseline(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Say what the process holds before it has done anything."""
        return {"resident_bytes": resident_bytes()}

    def make_keys(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make keys for the circuit in ``folder`` and write their evaluation half to ``keys``."""
        spec = read_spec(Path(request["folder"]))
        started = time.perf_counter()
        key_set = KeySet.generate(spec)
        sha256(key_set.serialise())  # what saving them costs
        digest = key_set.digest
        elapsed = milliseconds_since(started)
        self._key_set = key_set
        self._circuit = ClientCircuit(spec, key_set)
        Path(request["keys"]).write_bytes(key_set.evaluation_keys)
        memory = {"peak_bytes": peak_resident_bytes(), "resident_bytes": resident_bytes()}
        self._peak_is_of_answers = reset_peak()
        return {"keygen_ms": elapsed, "digest": digest, "evaluation_key_bytes": len(key_set.evaluation_keys), **memory}

    def encrypt(self, request: dict[str, Any]) -> dict[str, Any]:
        """Encrypt ``values`` of the boundary, flat, to ``input``."""
        circuit = self._require()
        values = np.array(request["values"], dtype=np.int64).reshape(1, *circuit.spec.reads.shape)
        started = time.perf_counter()
        ciphertext = circuit.encrypt(values)
        elapsed = milliseconds_since(started)
        Path(request["input"]).write_bytes(ciphertext)
        return {"encrypt_ms": elapsed, "upload_bytes": len(ciphertext)}

    def decrypt(self, request: dict[str, Any]) -> dict[str, Any]:
        """Decrypt ``output``."""
        circuit = self._require()
        ciphertext = Path(request["output"]).read_bytes()
        started = time.perf_counter()
        values = circuit.decrypt(ciphertext)
        elapsed = milliseconds_since(started)
        return {"decrypt_ms": elapsed, "download_bytes": len(ciphertext), "values": values.ravel().tolist()}

    def memory(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Say what the process holds and the most that it held since its keys were made; only the former where it is not known."""
        held = resident_bytes()
        return {"resident_bytes": held, "peak_bytes": peak_resident_bytes() if self._peak_is_of_answers else held}

    def _require(self) -> ClientCircuit:
        if self._circuit is None:
            raise MeasurementError("there are no keys yet; make_keys comes first")
        return self._circuit


if __name__ == "__main__":
    client = MeasuredClient()
    answer(
        {
            "baseline": client.baseline,
            "make_keys": client.make_keys,
            "encrypt": client.encrypt,
            "decrypt": client.decrypt,
            "memory": client.memory,
        }
    )
