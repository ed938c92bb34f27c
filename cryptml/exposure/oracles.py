"""What an attack may ask: a server segment that answers chosen inputs, in the clear or truly encrypted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from cryptml.fhe.client import ClientCircuit
from cryptml.fhe.concrete import fhe
from cryptml.fhe.server import ServerCircuit
from cryptml.networks.bins import Bins
from cryptml.networks.boundary import Boundary
from cryptml.networks.extent import IntArray
from cryptml.networks.network import Network
from cryptml.splits import Segment


class Oracle(Protocol):
    """A server segment that answers chosen inputs; ``queries`` counts them."""

    queries: int

    def query(self, values: IntArray) -> IntArray:
        """Return (batch, *writes.shape) int64 for (batch, *reads.shape) integers in range; each row is one query."""
        ...


class ClearOracle:
    """Answers from the integer program: the same integers as under encryption, but for rounding and what tables clamp, and faster.

    Args:
        network: Holds all weights; only its answers are handed out.
        segment: Which layers.
    """

    def __init__(self, network: Network, segment: Segment) -> None:
        self.queries = 0
        self._network, self._segment = network, segment

    def query(self, values: IntArray) -> IntArray:
        """See `Oracle.query`.

        Raises:
            NetworkError: If the values break the boundary.
        """
        self.queries += len(values)
        return self._network.run(values, self._segment)


class BinnedOracle:
    """Answers for numbers of bins, which are all that a segment tells apart that begins with a table that rounds, clamps or is negacyclic.

    Args:
        oracle: Takes values of the boundary.
        bins: Of the first table.
        reads: The boundary.
    """

    def __init__(self, oracle: Oracle, bins: Bins, reads: Boundary) -> None:
        self.queries = oracle.queries
        self._oracle, self._bins, self._reads = oracle, bins, reads

    def query(self, values: IntArray) -> IntArray:
        """See `Oracle.query`."""
        self.queries += len(values)
        return self._oracle.query(self._bins.values_of(values, self._reads.low, self._reads.high))


class EncryptedOracle:
    """Answers through the real interface of a client: encrypt, evaluate on ciphertexts, decrypt.

    Args:
        client: The client's half, with its secret key.
        server: The server's half.
        evaluation_keys: Of the client, loaded by the server.
        progress: Called after each query.
    """

    def __init__(
        self,
        client: ClientCircuit,
        server: ServerCircuit,
        evaluation_keys: fhe.EvaluationKeys,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self.queries = 0
        self._client, self._server, self._keys, self._progress = client, server, evaluation_keys, progress

    def query(self, values: IntArray) -> IntArray:
        """See `Oracle.query`.

        Raises:
            CircuitError: If the values break the boundary, or a bootstrap failed so badly that the answer does.
            CiphertextError: If the two halves do not fit.
        """
        answers = [self._ask(values[index : index + 1]) for index in range(len(values))]
        return np.concatenate(answers)

    def _ask(self, values: IntArray) -> IntArray:
        self.queries += 1
        answer = self._client.decrypt(self._server.evaluate(self._client.encrypt(values), self._keys))
        self._progress()
        return answer
