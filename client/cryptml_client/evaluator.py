"""Server segments over HTTP: encrypt, send, receive, decrypt."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from cryptml.bundle import ServerStep
from cryptml.fhe.client import ClientCircuit
from cryptml.fhe.parameters import OVERHEAD_BYTES
from cryptml.files import sha256
from cryptml.networks.extent import IntArray
from cryptml.runtime import Timings
from cryptml_client.transport import Transport


class RemoteEvaluator:
    """Evaluates server segments on a service, for one prediction.

    Args:
        transport: To the service.
        model: Its name there.
        circuits: By segment index, with this client's keys.
        key_digests: By segment index, of the evaluation keys that the service stores.
    """

    def __init__(
        self,
        transport: Transport,
        model: str,
        circuits: Mapping[int, ClientCircuit],
        key_digests: Mapping[int, str],
    ) -> None:
        self._transport = transport
        self._model = model
        self._circuits = circuits
        self._key_digests = key_digests
        self.upload_bytes = 0
        self.download_bytes = 0

    def evaluate(self, step: ServerStep, values: IntArray, timings: Timings) -> IntArray:
        """See `cryptml.runtime.SegmentEvaluator.evaluate`."""
        circuit = self._circuits[step.index]
        started = time.perf_counter()
        ciphertext = circuit.encrypt(values)
        timings.add("encrypt", started)

        started = time.perf_counter()
        result, headers = self._transport.request(
            "POST",
            f"/v1/models/{self._model}/segments/{step.index}/evaluations",
            content=ciphertext,
            headers={
                "Content-Type": "application/octet-stream",
                "CryptML-Circuit": sha256(step.circuit.client_specs),
                "CryptML-Evaluation-Keys": self._key_digests[step.index],
            },
            limit=step.circuit.parameters.output_bytes + OVERHEAD_BYTES,
        )
        elapsed = (time.perf_counter() - started) * 1000
        evaluated = min(elapsed, _evaluation_ms(headers.get("server-timing", "")))
        timings.stages["server_evaluate"] = timings.stages.get("server_evaluate", 0.0) + evaluated
        timings.stages["network"] = timings.stages.get("network", 0.0) + elapsed - evaluated
        self.upload_bytes += len(ciphertext)
        self.download_bytes += len(result)

        started = time.perf_counter()
        answer = circuit.decrypt(result)
        timings.add("decrypt", started)
        return answer


def _evaluation_ms(server_timing: str) -> float:
    """Return what the service says that the evaluation took, 0 where it says nothing."""
    found = re.search(r"\bevaluate;dur=(\d{1,12}(?:\.\d{1,9})?)", server_timing[:1000])
    return float(found[1]) if found else 0.0
