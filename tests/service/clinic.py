"""A clinic at a service: its keys, one input, and the requests that it makes with them."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
from cryptml_server.base.models import Circuit, ModelRegistry
from cryptml_server.base.settings import Settings
from cryptml_server.database.administration import open_database
from cryptml_server.tenancy.tenants import Quotas
from cryptml_server.workers.protocol import EvaluationResult, Worker

from benchmarks.requester import Requester, add_tenants
from cryptml.bundle.server import ServerBundle
from cryptml.networks.extent import IntArray


class Clinic(Requester):
    """New keys for a bundle's only server segment, and values for it to read.

    Args:
        bundle: Whose service is asked.
        model: Its name there.

    Attributes:
        values: (1, *shape) int64, all 1.
    """

    def __init__(self, bundle: ServerBundle, model: str = "tiny") -> None:
        super().__init__(bundle, model)
        self.values: IntArray = np.ones((1, *self.circuit.reads.shape), dtype=np.int64)

    def upload(self, http: httpx.Client) -> None:
        """Store the evaluation keys, if they are not there yet."""
        self.store_keys(http).raise_for_status()

    def send(self, http: httpx.Client, ciphertext: bytes, **headers: str) -> httpx.Response:
        """Have a ciphertext evaluated."""
        return http.post(self.evaluations_path, content=ciphertext, headers={**self.names, **headers})

    def ask(self, http: httpx.Client, **headers: str) -> httpx.Response:
        """Have the values evaluated, encrypted anew."""
        return self.send(http, self.client.encrypt(self.values), **headers)


class WorkersClinic(Clinic):
    """A clinic whose keys lie in a file, for workers that are asked without a service.

    Args:
        bundle: Of the circuit.
        folder: For the file.
        name: Of the file, and that workers remember the keys by.

    Attributes:
        served: The circuit as a service knows it.
        file: Of the evaluation keys.
        ciphertext: Of the values.
    """

    def __init__(self, bundle: ServerBundle, folder: Path, name: str = "keys") -> None:
        super().__init__(bundle)
        self.served: Circuit
        (self.served,) = ModelRegistry([bundle.folder]).circuits
        self.name = name
        self.file = folder / name
        self.file.write_bytes(self.keys.evaluation_keys)
        self.ciphertext = self.client.encrypt(self.values)

    def evaluate(self, worker: Worker) -> IntArray:
        """Return what a worker's answer decrypts to."""
        found: EvaluationResult = worker.evaluate(self.served, self.file, self.name, self.ciphertext)
        return self.client.decrypt(found.ciphertext)


def add_clinic(data: Path) -> str:
    """Return the token of a new tenant of a service with its database in a folder."""
    database = open_database(Settings(data=data))
    (token,) = add_tenants(database, ["clinic"], Quotas())
    database.close()
    return token
