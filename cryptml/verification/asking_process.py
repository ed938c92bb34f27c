"""A client in a process of its own, as a clinic's would be (``python -m``, see `cryptml.processes.answering`)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from cryptml_client import Client, KeyStore

from cryptml.errors import MeasurementError
from cryptml.processes.answering import answer, milliseconds_since
from cryptml.processes.memory import peak_resident_bytes


class AskingClient:
    """State between requests."""

    def __init__(self) -> None:
        self._client: Client | None = None

    def prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        """Fetch the bundle, of ``digest``, of the service at ``url``, make keys in the folder ``keys``, upload them."""
        self._client = Client(
            request["url"],
            keys=KeyStore(Path(request["keys"])),
            timeout_seconds=request["timeout_s"],
            accept_digest=request["digest"],
        )
        started = time.perf_counter()
        self._client.prepare()
        return {"prepare_ms": milliseconds_since(started)}

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask about ``region``, the rows of a picture."""
        client = self._require()
        region = np.array(request["region"], dtype=np.float32)
        started = time.perf_counter()
        prediction = client.predict_region(region)
        elapsed = milliseconds_since(started)
        return {
            "latency_ms": elapsed,
            "stages_ms": prediction.answer.timings.stages,
            "integers": prediction.answer.integers.tolist(),
        }

    def memory(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Say the most memory that this process has held."""
        return {"peak_bytes": peak_resident_bytes()}

    def _require(self) -> Client:
        if self._client is None:
            raise MeasurementError("there is no service yet; prepare comes first")
        return self._client


if __name__ == "__main__":
    asking = AskingClient()
    answer({"prepare": asking.prepare, "ask": asking.ask, "memory": asking.memory})
