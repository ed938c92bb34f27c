"""The server's half: compiled circuits and what must be known to check requests before anything is parsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptml.bundle.manifest import MANIFEST, check_files, require_same_toolchain
from cryptml.errors import BundleError
from cryptml.files import MAX_JSON_BYTES, parse_json, read_bounded, sha256
from cryptml.networks.path_kinds import BUNDLE, mistaken
from cryptml.networks.storage import shipped_networks

SCHEMA = "server-bundle.schema.json"


@dataclass(frozen=True)
class WorkerMemory:
    """What one circuit takes of a worker's memory, in bytes, as it was measured when the bundle was built.

    Attributes:
        threads: Of the process that was measured.
        baseline_bytes: Resident once the interpreter and Concrete are loaded, before anything is asked.
        circuit_bytes: That loading the circuit adds.
        runtime_bytes: That the first evaluation adds for good, keys apart.
        key_set_bytes: That each key set adds that is kept, expanded, as an evaluation leaves it.
        transient_bytes: That loading a further key set, or an evaluation, takes beyond what stays.
    """

    threads: int
    baseline_bytes: int
    circuit_bytes: int
    runtime_bytes: int
    key_set_bytes: int
    transient_bytes: int


@dataclass(frozen=True, eq=False)
class ServerBundle:
    """A checked bundle, ready to serve.

    Attributes:
        folder: Of the whole bundle, holding ``client`` and ``server``.
        model: The network's name.
        split: Who runs what, as written.
        circuits: For each server segment its public description, as in the manifest.
        client_manifest: Bytes of the client's manifest, whose digest the server's manifest holds.
        client_files: Names, digests and sizes of the client's files.
        memory: What each circuit takes of a worker, in the circuits' order; None where it was not measured.
    """

    folder: Path
    model: str
    split: str
    circuits: tuple[Mapping[str, Any], ...]
    client_manifest: bytes
    client_files: Mapping[str, Mapping[str, Any]]
    memory: tuple[WorkerMemory, ...] | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the client's manifest: the identity that both halves share."""
        return sha256(self.client_manifest)

    def circuit_folder(self, index: int) -> Path:
        """Return the folder of a server segment's circuit."""
        return self.folder / "server" / circuit_folder_name(index)

    @staticmethod
    def load(folder: Path) -> ServerBundle:
        """Read and check a bundle that `cryptml.bundle.build` wrote.

        Raises:
            BundleError: If either half is missing, altered or of another version, or they do not belong together.
        """
        wrong = mistaken(folder, BUNDLE)
        if wrong is not None:
            raise BundleError(wrong)
        if not folder.is_dir():
            shipped = str(folder) in shipped_networks()
            network = str(folder) if shipped else "NETWORK"
            what = f"{folder} is a shipped network, not a bundle" if shipped else f"there is no bundle at {folder}"
            raise BundleError(f"{what}; build one with cryptml build {network} --out BUNDLE")
        manifest = read_bounded(folder / "server" / MANIFEST, MAX_JSON_BYTES, BundleError)
        document = parse_json(manifest, SCHEMA, "the server bundle's manifest", BundleError)
        require_same_toolchain(document["created_with"])
        check_files(folder / "server", document["files"])
        client_manifest = read_bounded(folder / "client" / MANIFEST, MAX_JSON_BYTES, BundleError)
        if sha256(client_manifest) != document["client_manifest_sha256"]:
            raise BundleError(
                f"client/{MANIFEST} of bundle {folder.name!r} is not the one that the server half was built with"
            )
        client = parse_json(client_manifest, "client-bundle.schema.json", "the client bundle's manifest", BundleError)
        check_files(folder / "client", client["files"])
        return ServerBundle(
            folder=folder,
            model=document["model"],
            split=document["split"],
            circuits=tuple(document["circuits"]),
            client_manifest=client_manifest,
            client_files=client["files"],
            memory=_memory(document),
        )


def _memory(document: Mapping[str, Any]) -> tuple[WorkerMemory, ...] | None:
    measured = document.get("memory")
    if measured is None:
        return None
    if len(measured) != len(document["circuits"]):
        raise BundleError(
            f"the server bundle's manifest has the memory of {len(measured)} circuits of {len(document['circuits'])}; build it again"
        )
    return tuple(WorkerMemory(**each) for each in measured)


def circuit_folder_name(index: int) -> str:
    """Return the folder, below ``server``, of server segment ``index``."""
    return f"circuit-{index}"
