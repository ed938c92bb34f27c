"""On the real bytes: no server layer in a client's files, no key in a server's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from cryptml.fhe.backends.base import SERVER_FILES
from cryptml.networks import Network
from cryptml.networks.layers import Layer
from cryptml.splits import Side, Split

Bundles = Callable[[str], Path]
SPLITS = ["CSSSC", "SCSCS", "SSSSS"]
ENOUGH = 16
"""Entries from which on an equal run of bytes is no accident."""


def images(layer: Layer) -> Iterator[tuple[str, bytes]]:
    """Yield what the tensors of a layer look like in memory, in every integer type and in both orders of the axes."""
    for name, tensor in layer.tensors().items():
        if tensor.size < ENOUGH:
            continue
        for kind in ("<i1", "<i2", "<i4", "<i8"):
            for view in (tensor, tensor.reshape(len(tensor), -1).T):
                image = np.ascontiguousarray(view.astype(kind)).tobytes()
                assert np.array_equal(np.frombuffer(image, kind), view.ravel()), "the type holds the values"
                yield f"{layer.name}.{name} as {kind}", image


def layers_of(network: Network, split: str, side: Side) -> list[Layer]:
    return [layer for layer, own in zip(network.layers, Split(split).sides, strict=True) if own is side]


def texts(layer: Layer) -> Iterator[str]:
    """Yield the tensors' entries as JSON would write them."""
    for tensor in layer.tensors().values():
        if tensor.size >= ENOUGH:
            yield ",".join(map(str, tensor.ravel().tolist()))


@pytest.mark.parametrize("split", SPLITS)
def test_no_file_of_the_client_holds_a_server_layer(built: Bundles, network: Network, split: str) -> None:
    files = {path: path.read_bytes() for path in (built(split) / "client").rglob("*") if path.is_file()}
    server = layers_of(network, split, Side.SERVER)
    assert len(files) >= 2
    assert sum(1 for layer in server for _ in images(layer)) >= 8 * len(server)
    for path, data in files.items():
        found = [what for layer in server for what, image in images(layer) if image in data]
        assert not found, f"{path.name} holds {found}"
        squeezed = b"".join(data.split())
        assert not any(text.encode() in squeezed for layer in server for text in texts(layer))
        assert not any(layer.name.encode() in data for layer in server), "not even the names of server layers"


@pytest.mark.parametrize("split", SPLITS)
def test_the_clients_weights_hold_its_own_layers_alone(built: Bundles, network: Network, split: str) -> None:
    keys = load((built(split) / "client" / "weights.safetensors").read_bytes()).keys()
    own = {f"{layer.name}.{name}" for layer in layers_of(network, split, Side.CLIENT) for name in layer.tensors()}
    assert set(keys) == own


@pytest.mark.parametrize("split", ["CSSSC", "SCSCS"])
def test_the_search_finds_what_is_there(built: Bundles, network: Network, split: str) -> None:
    data = (built(split) / "client" / "weights.safetensors").read_bytes()
    for layer in layers_of(network, split, Side.CLIENT):
        assert any(image in data for _, image in images(layer)), layer.name


@pytest.mark.parametrize("split", SPLITS)
def test_the_server_holds_compiled_circuits_and_nothing_else(built: Bundles, split: str) -> None:
    folder = built(split) / "server"
    circuits = range(len(Split(split).server_segments))
    expected = {"manifest.json"} | {f"circuit-{index}/{name}" for index in circuits for name in SERVER_FILES}
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == expected


@pytest.mark.parametrize("split", ["CSSSC", "SSSSS"])
def test_no_file_of_the_bundle_is_large_enough_for_the_keys(built: Bundles, split: str) -> None:
    manifest = json.loads((built(split) / "server" / "manifest.json").read_text())
    with_keys = [circuit["evaluation_key_bytes"] for circuit in manifest["circuits"] if circuit["bootstraps"]]
    assert with_keys
    largest = max(path.stat().st_size for path in built(split).rglob("*") if path.is_file())
    assert largest < min(with_keys) / 10


@pytest.mark.parametrize("split", SPLITS)
def test_what_the_server_says_of_a_circuit_describes_keys_but_holds_none(built: Bundles, split: str) -> None:
    for path in (built(split) / "server").glob("circuit-*/program_info.concrete.params.json"):
        keyset = json.loads(path.read_text())["keyset"]
        for key in [entry for kind in keyset.values() for entry in kind]:
            assert set(key) <= {"id", "inputId", "outputId", "params", "compression"}


@pytest.mark.parametrize("split", SPLITS)
def test_no_manifest_says_where_it_was_built(built: Bundles, split: str) -> None:
    folder = built(split)
    for path in [*folder.rglob("*.json")]:
        assert str(folder.parent).encode() not in path.read_bytes(), path.name
