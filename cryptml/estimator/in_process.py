"""Encrypted answers without a service between the two halves."""

from __future__ import annotations

import time
from typing import Any

from cryptml.bundle import ClientBundle, ServerBundle, ServerStep
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.fhe.server import ServerCircuit, load_evaluation_keys
from cryptml.networks import FloatArray, IntArray
from cryptml.runtime import Timings, run_split


class InProcess:
    """Client and server of one compiled network: keys are made once, at the first question."""

    def __init__(self, server: ServerBundle, client: ClientBundle) -> None:
        self._server, self._client = server, client
        self._halves: dict[int, tuple[ClientCircuit, ServerCircuit, Any]] = {}

    def answer(self, region: FloatArray) -> FloatArray:
        """Return (classes,) float32 probabilities of a region (side, side)."""
        return run_split(self._client, region, self).probabilities

    def evaluate(self, step: ServerStep, values: IntArray, timings: Timings) -> IntArray:
        """See `cryptml.runtime.SegmentEvaluator`."""
        if step.index not in self._halves:
            keys = KeySet.generate(step.circuit)
            server = ServerCircuit(self._server.circuit_folder(step.index))
            self._halves[step.index] = (
                ClientCircuit(step.circuit, keys),
                server,
                load_evaluation_keys(keys.evaluation_keys),
            )
        client, server, evaluation_keys = self._halves[step.index]
        started = time.perf_counter()
        decrypted = client.decrypt(server.evaluate(client.encrypt(values), evaluation_keys))
        timings.add("encrypted", started)
        return decrypted
