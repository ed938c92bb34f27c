"""Keys of one client for a network of which one segment runs at a service, and what its requests say."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import httpx
from cryptml_server.database import Database
from cryptml_server.tenancy.tenants import Quotas, TenantStore

from cryptml.bundle import ClientBundle
from cryptml.bundle.build import build_bundle
from cryptml.bundle.server import ServerBundle
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.files import sha256
from cryptml.networks import load_network
from cryptml.splits import Split


class Requester:
    """New keys for a bundle's only server segment.

    Args:
        bundle: Whose service is asked.
        model: Its name there.

    Attributes:
        circuit: As the client knows it.
        keys: The client's.
        client: Encrypts and decrypts with them.
        identity: Of the circuit, in requests.
        keys_path: Of the evaluation keys.
        evaluations_path: Of the segment's evaluations.
        names: Headers that name circuit and keys.
    """

    def __init__(self, bundle: ServerBundle, model: str) -> None:
        self.bundle = bundle
        (step,) = ClientBundle.load(bundle.folder / "client").server_steps
        self.circuit = step.circuit
        self.keys = KeySet.generate(self.circuit)
        self.client = ClientCircuit(self.circuit, self.keys)
        self.identity = sha256(self.circuit.client_specs)
        self.keys_path = f"/v1/models/{model}/evaluation-keys/{self.keys.digest}"
        self.evaluations_path = f"/v1/models/{model}/segments/0/evaluations"
        self.names = {"CryptML-Circuit": self.identity, "CryptML-Evaluation-Keys": self.keys.digest}

    def store_keys(self, http: httpx.Client) -> httpx.Response:
        """Send the evaluation keys."""
        head = {"CryptML-Circuit": self.identity}
        body = self.keys.evaluation_keys
        return http.put(self.keys_path, params={"segment": 0}, content=body, headers=head)


def build(network: str, letters: str, folder: Path) -> ServerBundle:
    """Build a shipped network's bundle."""
    return build_bundle(load_network(network), Split(letters), folder, backend=compile_integer_program)


def add_tenants(database: Database, names: Iterable[str], quotas: Quotas) -> list[str]:
    """Return the tokens of new tenants."""
    store = TenantStore(database)
    return [store.add(name, quotas)[1] for name in names]


def connect(url: str, token: str, seconds: float) -> httpx.Client:
    """Return a connection of a tenant."""
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=seconds)
