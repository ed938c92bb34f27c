"""The integer program in the clear."""

from __future__ import annotations

import time
from contextlib import ExitStack

from benchmarks.side_by_side.contender import Answered, Sizes
from cryptml.networks import load_network
from cryptml.networks.boundary import FloatArray
from cryptml.processes.answering import milliseconds_since


class ClearContender:
    """See `Contender`.

    Args:
        network: A shipped name or a folder.
    """

    def __init__(self, network: str) -> None:
        self._network = load_network(network)

    def prepare(self, cleanup: ExitStack) -> None:  # noqa: ARG002
        """See `Contender.prepare`."""
        self.sizes = Sizes(upload=self._network.front_end.side**2)

    def answer(self, region: FloatArray) -> Answered:
        """See `Contender.answer`."""
        started = time.perf_counter()
        values = self._network.quantise(region[None])
        quantised = milliseconds_since(started)
        started = time.perf_counter()
        logits = self._network.boundaries[-1].dequantise(self._network.run(values))[0]
        return Answered({"quantise": quantised, "evaluate": milliseconds_since(started)}, logits, logits)

    def server_peak_bytes(self) -> int | None:
        """See `Contender.server_peak_bytes`."""
        return None
