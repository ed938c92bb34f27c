"""How many bootstraps a second Concrete does at best, with a network's own key parameters: one large tensor of bootstraps."""

from __future__ import annotations

import time
from contextlib import ExitStack

import numpy as np
from concrete import fhe

from benchmarks.side_by_side.contender import Answered, Sizes
from cryptml.errors import MeasurementError
from cryptml.fhe.backends.base import configuration
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.backends.toolchain import linkable
from cryptml.fhe.parameters import CircuitParameters
from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS
from cryptml.networks import load_network
from cryptml.networks.boundary import FloatArray
from cryptml.processes.answering import milliseconds_since
from cryptml.splits import Split

BOOTSTRAPS = 512


class PeakContender:
    """See `Contender`; its answers are no answers, only its times count.

    Args:
        network: Whose key parameters to take.
        split: Its first server segment gives them.
    """

    def __init__(self, network: str, split: str) -> None:
        self._network = load_network(network)
        self._segment = Split(split).server_segments[0]
        self._values = np.zeros(0, np.int64)
        self._bits = self._network.table_bits(self._segment)

    def prepare(self, cleanup: ExitStack) -> None:  # noqa: ARG002
        """See `Contender.prepare`."""
        compiled = compile_integer_program(self._network, self._segment, DEFAULT_COMPILER_SETTINGS)
        compiled.discard()
        table = fhe.LookupTable(list(range(1 << self._bits)))
        generator = np.random.default_rng(0)
        samples = [generator.integers(0, 1 << self._bits, BOOTSTRAPS) for _ in range(8)]
        with linkable():
            self._circuit = fhe.Compiler(lambda x: table[x], {"x": "encrypted"}).compile(
                samples, configuration(DEFAULT_COMPILER_SETTINGS, compiled.spec)
            )
        found = CircuitParameters.parse(self._circuit.client.specs.serialize()).key_parameters
        if found != compiled.spec.parameters.key_parameters:
            raise MeasurementError(
                f"{BOOTSTRAPS} bootstraps of {self._bits} bits do not get the key parameters of segment {self._segment}; "
                "there is no peak to compare with"
            )
        self._circuit.keygen()
        self._values = samples[0]
        self.answer(np.zeros((1, 1), np.float32))
        self.sizes = Sizes(bootstraps=BOOTSTRAPS, bits=self._bits)

    def answer(self, region: FloatArray) -> Answered:  # noqa: ARG002
        """See `Contender.answer`."""
        encrypted = self._circuit.encrypt(self._values)
        started = time.perf_counter()
        result = self._circuit.run(encrypted)
        evaluated = milliseconds_since(started)
        found = np.asarray(self._circuit.decrypt(result), np.float32)
        return Answered({"evaluate": evaluated}, found, self._values.astype(np.float32))

    def server_peak_bytes(self) -> int | None:
        """See `Contender.server_peak_bytes`."""
        return None
