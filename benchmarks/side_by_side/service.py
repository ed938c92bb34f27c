"""A network of ours behind a real service, asked over real HTTP."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
from cryptml_client import Client, KeyStore

from benchmarks.side_by_side.contender import Answered, Sizes
from cryptml.bundle.build import build_bundle
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.networks import load_network
from cryptml.networks.boundary import FloatArray
from cryptml.splits import Split
from cryptml.verification.local_service import LocalService, local_service


class ServiceContender:
    """See `Contender`.

    Args:
        network: A shipped name or a folder.
        split: Its letters.
    """

    def __init__(self, network: str, split: str) -> None:
        self._network = load_network(network)
        self._split = Split(split)
        self._service: LocalService | None = None
        self._client: Client | None = None

    def prepare(self, cleanup: ExitStack) -> None:
        """See `Contender.prepare`."""
        work = Path.cwd()
        build_bundle(self._network, self._split, work / "bundle", backend=compile_integer_program)
        self._service = cleanup.enter_context(local_service([work / "bundle"], work / "data"))
        self._client = cleanup.enter_context(
            Client(self._service.url, keys=KeyStore(work / "keys"), trust_first_use=True)
        )
        self._client.prepare()
        side = self._network.front_end.side
        self.answer(np.zeros((side, side), np.float32))
        circuits = [step.circuit for step in self._client.bundle.server_steps]
        self.sizes = Sizes(
            keys=self._client.evaluation_key_bytes,
            upload=sum(circuit.parameters.input_bytes for circuit in circuits),
            download=sum(circuit.parameters.output_bytes for circuit in circuits),
            bootstraps=sum(circuit.bootstraps for circuit in circuits),
            bits=max(circuit.table_bits for circuit in circuits),
        )

    def answer(self, region: FloatArray) -> Answered:
        """See `Contender.answer`."""
        assert self._client is not None
        answer = self._client.predict_region(region).answer
        stages = {"evaluate" if name == "server_evaluate" else name: ms for name, ms in answer.timings.stages.items()}
        return Answered(stages, answer.logits, self._network.logits(region[None])[0])

    def server_peak_bytes(self) -> int | None:
        """See `Contender.server_peak_bytes`."""
        return self._service.worker_peak_bytes() if self._service else None
