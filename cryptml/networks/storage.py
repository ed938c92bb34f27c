"""A network on disk: ``network.json``, ``weights.safetensors`` and, for who trains on, ``brevitas.safetensors``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from cryptml.errors import NetworkError
from cryptml.files import MAX_JSON_BYTES, parse_json, read_bounded, sha256, to_json_bytes, write_bytes
from cryptml.networks.boundary import Boundary
from cryptml.networks.front_ends import restore_front_end
from cryptml.networks.network import Network
from cryptml.networks.path_kinds import NETWORK, mistaken
from cryptml.networks.tensors import MAX_WEIGHTS_BYTES, layer_entries, pack_layers, unpack_layers

NETWORK_FILE = "network.json"
WEIGHTS_FILE = "weights.safetensors"
SCHEMA = "network.schema.json"


def shipped_networks() -> tuple[str, ...]:
    """Return the names that stand for shipped networks wherever a folder does."""
    root = resources.files("cryptml.networks").joinpath("shipped")
    return tuple(sorted(entry.name for entry in root.iterdir() if entry.joinpath(NETWORK_FILE).is_file()))


def resolve_network(name_or_folder: str | Path) -> Path:
    """Return the folder of a shipped network or of one's own.

    Raises:
        NetworkError: If there is neither such a name nor such a folder.
    """
    if isinstance(name_or_folder, str) and name_or_folder in shipped_networks():
        return Path(str(resources.files("cryptml.networks").joinpath("shipped", name_or_folder)))
    folder = Path(name_or_folder)
    if not (folder / NETWORK_FILE).is_file():
        raise NetworkError(
            mistaken(folder, NETWORK)
            or f"{str(name_or_folder)!r} is neither a shipped network ({', '.join(shipped_networks())}) nor a folder with a "
            f"{NETWORK_FILE}; train one with cryptml train"
        )
    return folder


def save_network(
    network: Network,
    folder: Path,
    *,
    architecture: str | None,
    adjustments: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write a network to a folder, which may hold other files.

    Args:
        network: What to write.
        folder: Made where it is missing.
        architecture: The spec that the Brevitas network was built from, if any.
        adjustments: Changes that were made to it, as JSON values (`cryptml.networks.architectures.adjustments`).

    Raises:
        NetworkError: If `load_network` would not read it, for example because of a name; nothing is written then.
    """
    weights = pack_layers(network.layers)
    document = {
        "format": "cryptml-network",
        "format_version": 1,
        "name": network.name,
        "architecture": architecture,
        "front_end": network.front_end.to_json(),
        "classes": list(network.classes),
        "positive": network.positive_class,
        "boundaries": [boundary.to_json() for boundary in network.boundaries],
        "layers": layer_entries(network.layers),
        "weights": {"sha256": sha256(weights)},
        **({"adjustments": [dict(each) for each in adjustments]} if adjustments else {}),
    }
    data = to_json_bytes(document)
    parse_json(data, SCHEMA, f"network {network.name!r}", NetworkError)
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / WEIGHTS_FILE, weights)
    write_bytes(folder / NETWORK_FILE, data)


def load_network(name_or_folder: str | Path) -> Network:
    """Read a network.

    Raises:
        NetworkError: If a file is missing, altered, of another version or contradicts the rest.
    """
    folder = resolve_network(name_or_folder)
    document = parse_json(
        read_bounded(folder / NETWORK_FILE, MAX_JSON_BYTES, NetworkError), SCHEMA, NETWORK_FILE, NetworkError
    )
    weights = read_bounded(folder / WEIGHTS_FILE, MAX_WEIGHTS_BYTES, NetworkError)
    if sha256(weights) != document["weights"]["sha256"]:
        raise NetworkError(f"{WEIGHTS_FILE} in {folder.name} was altered: its digest is not the one in {NETWORK_FILE}")
    return Network(
        name=document["name"],
        front_end=restore_front_end(document["front_end"]),
        layers=unpack_layers(document["layers"], weights, NetworkError),
        boundaries=tuple(Boundary.from_json(entry) for entry in document["boundaries"]),
        classes=tuple(document["classes"]),
        positive=document.get("positive"),  # of networks written before there was a choice: the second of two
    )


def architecture_of(name_or_folder: str) -> str | None:
    """Return the architecture that a saved network was built from, None where it was not recorded."""
    data = read_bounded(resolve_network(name_or_folder) / NETWORK_FILE, MAX_JSON_BYTES, NetworkError)
    return parse_json(data, SCHEMA, NETWORK_FILE, NetworkError)["architecture"]


def adjustments_of(name_or_folder: str) -> list[Mapping[str, Any]]:
    """Return the changes that a saved network's architecture was built with, as JSON values."""
    data = read_bounded(resolve_network(name_or_folder) / NETWORK_FILE, MAX_JSON_BYTES, NetworkError)
    return list(parse_json(data, SCHEMA, NETWORK_FILE, NetworkError).get("adjustments", []))
