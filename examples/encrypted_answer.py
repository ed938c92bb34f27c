"""One encrypted answer, both parts in one process: ``python examples/encrypted_answer.py``.

The provider builds a bundle of a network and a split. The client makes keys, runs its own layers in the clear and encrypts. The server
evaluates the rest on ciphertexts. The client decrypts, and the answer is compared with that of the network in the clear. In real use
an HTTP service is between the two: see `cryptml_client.Client`.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

import cryptml
from cryptml.bundle import ClientBundle, ServerBundle, ServerStep
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.fhe.server import ServerCircuit, load_evaluation_keys
from cryptml.networks import IntArray, load_network
from cryptml.runtime import ClearEvaluator, Timings, run_split

NETWORK = "tiny"
"""Shipped for tests: five layers on 8 x 8 pixels. Every encrypted answer of it equals the one in the clear."""

SPLIT = "CCSSS"
"""Two layers on the client, three on the server."""


class Server:
    """What a provider runs: compiled circuits, and the evaluation keys of one client. It cannot decrypt."""

    def __init__(self, bundle: ServerBundle) -> None:
        self.bundle = bundle
        self.keys: dict[int, bytes] = {}

    def evaluate(self, index: int, ciphertext: bytes) -> bytes:
        """Return the encrypted result of one server segment."""
        circuit = ServerCircuit(self.bundle.circuit_folder(index))
        return circuit.evaluate(ciphertext, load_evaluation_keys(self.keys[index]))


class Client:
    """What a clinic runs: it holds the secret keys, and gives the server evaluation keys and ciphertexts alone."""

    def __init__(self, bundle: ClientBundle, server: Server) -> None:
        self.server = server
        self.circuits: dict[int, ClientCircuit] = {}
        for step in bundle.server_steps:
            keys = KeySet.generate(step.circuit)
            self.circuits[step.index] = ClientCircuit(step.circuit, keys)
            server.keys[step.index] = keys.evaluation_keys
            print(f"segment {step.circuit.segment}: {len(keys.evaluation_keys) / 1e6:.1f} MB of evaluation keys")

    def evaluate(self, step: ServerStep, values: IntArray, timings: Timings) -> IntArray:
        """Encrypt the values of a boundary, ask the server, decrypt; `cryptml.runtime.run_split` calls this."""
        started = time.perf_counter()
        ciphertext = self.circuits[step.index].encrypt(values)
        result = self.server.evaluate(step.index, ciphertext)
        print(f"segment {step.circuit.segment}: {len(ciphertext)} bytes up, {len(result)} bytes down")
        decrypted = self.circuits[step.index].decrypt(result)
        timings.add("encrypted", started)
        return decrypted


def main() -> None:
    """Ask about one random picture, encrypted and in the clear."""
    network = load_network(NETWORK)
    side = network.front_end.side
    picture = np.random.default_rng(1).random((side, side), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        built = cryptml.build(NETWORK, Path(folder) / "bundle", SPLIT, spot_checks=0, measure=False).bundle
        half = ClientBundle.load(Path(folder) / "bundle" / "client")
        encrypted = run_split(half, picture, Client(half, Server(built)))
    clear = run_split(half, picture, ClearEvaluator(network))
    print(f"encrypted: {encrypted.label}, integers {encrypted.integers.tolist()}")
    print(f"in the clear: {clear.label}, integers {clear.integers.tolist()}")
    if not np.array_equal(encrypted.integers, clear.integers):
        raise SystemExit("the two answers differ; please report this")
    print("equal: yes")


if __name__ == "__main__":
    main()
