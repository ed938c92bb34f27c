"""A network on disk: exact round trips, and files that somebody damaged or forged."""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from cryptml.errors import BundleError, NetworkError
from cryptml.files import sha256
from cryptml.networks import Network, load_network, resolve_network, save_network, shipped_networks
from cryptml.networks.layers import Activation, Linear, Residual
from cryptml.networks.storage import NETWORK_FILE, WEIGHTS_FILE, architecture_of
from cryptml.networks.tensors import layer_entries, pack_layers, unpack_layers
from tests.networks.network_samples import inside, small_network

NETWORK = small_network()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_network(NETWORK, tmp_path / "net", architecture="mine:build")
    return tmp_path / "net"


def same(one: Network, other: Network) -> bool:
    tensors = [[layer.tensors() for layer in network.layers] for network in (one, other)]
    plain = [
        (network.name, network.front_end, network.boundaries, network.classes, layer_entries(network.layers))
        for network in (one, other)
    ]
    return plain[0] == plain[1] and all(
        left.keys() == right.keys() and all(np.array_equal(left[key], right[key]) for key in left)
        for left, right in zip(*tensors, strict=True)
    )


def refusal(folder: Path) -> str:
    with pytest.raises(NetworkError) as caught:
        load_network(str(folder))
    return str(caught.value)


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads((folder / NETWORK_FILE).read_text())
    change(document)
    (folder / NETWORK_FILE).write_text(json.dumps(document))


def put_weights(folder: Path, data: bytes) -> None:
    """Replace the weights and their digest: whoever forges a network can do both."""
    (folder / WEIGHTS_FILE).write_bytes(data)
    edit(folder, lambda document: document["weights"].update(sha256=sha256(data)))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_kind_of_layer_comes_back_exactly(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    network = small_network(seed)
    folder = tmp_path_factory.mktemp("nets")
    save_network(network, folder, architecture=None)
    again = load_network(str(folder))
    assert same(network, again)
    x = inside(network.boundaries[0].extent(), 4, seed)
    assert np.array_equal(network.run(x), again.run(x))


def test_saving_keeps_other_files_and_replaces_its_own(folder: Path) -> None:
    (folder / "MODEL_CARD.md").write_text("kept")
    other = small_network(5)
    save_network(other, folder, architecture=None)
    assert same(load_network(str(folder)), other)
    assert architecture_of(str(folder)) is None
    assert sorted(entry.name for entry in folder.iterdir()) == ["MODEL_CARD.md", NETWORK_FILE, WEIGHTS_FILE]
    assert (folder / "MODEL_CARD.md").read_text() == "kept"


def test_the_architecture_is_recorded(folder: Path) -> None:
    assert architecture_of(str(folder)) == "mine:build"


@pytest.mark.parametrize(
    ("network", "where"),
    [
        (dataclasses.replace(NETWORK, name="Not A Name"), "$.name"),
        (dataclasses.replace(NETWORK, classes=("", "b")), "$.classes[0]"),
        (
            dataclasses.replace(
                NETWORK, layers=(*NETWORK.layers[:4], dataclasses.replace(NETWORK.layers[4], name="a/../b"))
            ),
            "$.layers[4].name",
        ),
    ],
)
def test_what_could_not_be_loaded_is_not_written(tmp_path: Path, network: Network, where: str) -> None:
    with pytest.raises(NetworkError) as caught:
        save_network(network, tmp_path / "new", architecture=None)
    assert where in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_tensors_are_stored_in_the_smallest_type() -> None:
    widths = {np.int8: 127, np.int16: -32768, np.int32: 2**31 - 1, np.int64: 2**40}
    for kind, value in widths.items():
        layer = Activation("act", np.array([[value]]))
        assert load(pack_layers([layer]))["act.table"].dtype == kind
        (again,) = unpack_layers(layer_entries([layer]), pack_layers([layer]), NetworkError)
        assert again.tensors()["table"].tolist() == [[value]]


# Where a network is looked for.


def test_a_folder_or_a_shipped_name_is_resolved(folder: Path) -> None:
    assert resolve_network(str(folder)) == folder
    for name in shipped_networks():
        assert (resolve_network(name) / NETWORK_FILE).is_file()


def test_neither_name_nor_folder_is_refused_with_what_there_is(tmp_path: Path) -> None:
    message = refusal(tmp_path / "nowhere")
    assert "neither a shipped network" in message
    assert "cryptml train" in message
    assert all(name in message for name in shipped_networks())
    (tmp_path / "other").touch()
    assert "is a folder without a network in it; name another, or train a network" in refusal(tmp_path)


# Files that somebody damaged.


@pytest.mark.parametrize("name", [NETWORK_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    wanted = "without a network in it" if name == NETWORK_FILE else name
    assert wanted in refusal(folder)


@pytest.mark.parametrize("name", [NETWORK_FILE, WEIGHTS_FILE])
def test_a_link_is_refused(folder: Path, name: str) -> None:
    (folder / name).rename(folder / "elsewhere")
    (folder / name).symlink_to(folder / "elsewhere")
    assert f"{name} is missing or not a plain file" in refusal(folder)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_one_altered_byte_of_the_weights_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("nets")
    save_network(NETWORK, folder, architecture=None)
    weights = bytearray((folder / WEIGHTS_FILE).read_bytes())
    weights[data.draw(st.integers(0, len(weights) - 1))] ^= data.draw(st.integers(1, 255))
    (folder / WEIGHTS_FILE).write_bytes(weights)
    assert "was altered: its digest" in refusal(folder)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_forged_weights_never_crash(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("nets")
    save_network(NETWORK, folder, architecture=None)
    weights = bytearray((folder / WEIGHTS_FILE).read_bytes())
    position = data.draw(st.integers(0, len(weights) - 1))
    weights[position] ^= data.draw(st.integers(1, 255))
    put_weights(folder, bytes(weights[: data.draw(st.sampled_from([None, position]))]))
    try:
        network = load_network(str(folder))
    except NetworkError:
        return
    assert network.boundaries == NETWORK.boundaries  # what a layer gives still keeps the boundaries


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_document_with_one_value_replaced_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("nets")
    save_network(NETWORK, folder, architecture=None)
    document = json.loads((folder / NETWORK_FILE).read_text())
    inner: Any = document
    while True:
        key = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        if not isinstance(inner[key], (dict, list)) or not inner[key] or data.draw(st.integers(0, 3)) == 0:
            break
        inner = inner[key]
    inner[key] = data.draw(
        st.sampled_from(
            [None, True, 0, 1, 1.0, -1, 2**31, 10**19, 0.5, 1e300, 5e-324, "", "a", "x\n", [], {}, [1], [[]]]
        )
    )
    (folder / NETWORK_FILE).write_text(json.dumps(document))
    try:
        load_network(str(folder))
    except NetworkError as error:
        assert str(error)


@pytest.mark.parametrize("keep", [0, 1, 100, -2])
def test_a_truncated_document_is_refused(folder: Path, keep: int) -> None:
    data = (folder / NETWORK_FILE).read_bytes()
    (folder / NETWORK_FILE).write_bytes(data[:keep])
    assert "network.json is not JSON" in refusal(folder)


def test_numbers_that_are_none_are_refused(folder: Path) -> None:
    text = (folder / NETWORK_FILE).read_text()
    (folder / NETWORK_FILE).write_text(text.replace("0.75", "NaN"))
    assert "NaN is not a JSON number" in refusal(folder)


def test_another_format_version_is_refused_with_both(folder: Path) -> None:
    edit(folder, lambda document: document.update(format_version=2))
    message = refusal(folder)
    assert "format version 2, this program reads 1" in message
    with pytest.raises(NetworkError, match="format version 2"):
        architecture_of(str(folder))


def test_an_unknown_kind_of_layer_is_refused(folder: Path) -> None:
    edit(folder, lambda document: document["layers"][0].update(kind="attention"))
    assert "'attention' is not one of ['convolution'" in refusal(folder)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "a.b", "", "conv1\n", "a" * 65])
def test_a_layer_name_that_is_a_path_is_refused(folder: Path, name: str) -> None:
    edit(folder, lambda document: document["layers"][0].update(name=name))
    assert "$.layers[0].name" in refusal(folder)


def test_a_layer_without_its_attributes_is_refused(folder: Path) -> None:
    for index, missing in ((0, "stride"), (1, "low"), (2, "kernel"), (3, "body")):
        save_network(NETWORK, folder, architecture=None)

        def remove(document: dict[str, Any], index: int = index, missing: str = missing) -> None:
            del document["layers"][index][missing]

        edit(folder, remove)
        assert f"$.layers[{index}]: {missing!r} is a required property" in refusal(folder)


def test_layers_that_contradict_the_boundaries_are_refused(folder: Path) -> None:
    edit(folder, lambda document: document["layers"][0].update(stride=[2, 2]))
    assert "'conv1' gives (2, 2, 2)" in refusal(folder)


@pytest.mark.parametrize("field", ["low", "high"])
def test_a_boundary_that_contradicts_the_weights_is_refused(folder: Path, field: str) -> None:
    edit(folder, lambda document: document["boundaries"][5].update({field: document["boundaries"][5][field] - 1}))
    assert "'linear' gives" in refusal(folder)


def test_a_missing_layer_or_boundary_is_refused(folder: Path) -> None:
    edit(folder, lambda document: document["boundaries"].pop())
    assert "5 layers and 5 boundaries; expected 6" in refusal(folder)
    save_network(NETWORK, folder, architecture=None)
    edit(folder, lambda document: document["layers"].pop())
    assert "tensors of no layer: linear.bias, linear.weight" in refusal(folder)


def test_strides_and_windows_of_nothing_are_refused(folder: Path) -> None:
    edit(folder, lambda document: document["layers"][2].update(stride=[0, 2]))
    assert "'pool1' has kernel (2, 2), stride (0, 2)" in refusal(folder)


# Tensors that somebody forged.


def with_tensor(folder: Path, name: str, tensor: np.ndarray[Any, Any]) -> None:
    tensors = load((folder / WEIGHTS_FILE).read_bytes())
    put_weights(folder, save({**tensors, name: tensor}))


def test_extra_tensors_are_refused_by_name(folder: Path) -> None:
    with_tensor(folder, "conv1.secret", np.zeros(3, np.int8))
    assert "tensors of no layer: conv1.secret" in refusal(folder)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint8, np.bool_, np.float16])
def test_tensors_of_other_types_are_refused_by_name(folder: Path, kind: type[np.generic]) -> None:
    with_tensor(folder, "conv1.bias", np.zeros(2, kind))
    assert "not integers: conv1.bias" in refusal(folder)


def test_a_missing_tensor_is_refused_by_name(folder: Path) -> None:
    tensors = load((folder / WEIGHTS_FILE).read_bytes())
    del tensors["block1.body.conv.weight"]
    put_weights(folder, save(tensors))
    assert "'conv' lacks the tensors weight" in refusal(folder)


def test_a_tensor_of_another_shape_is_refused(folder: Path) -> None:
    with_tensor(folder, "linear.weight", np.zeros((2, 7), np.int8))
    assert "'linear' takes 7 values but gets 8" in refusal(folder)


def header(text: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 7,
        header(b"{}", 2**63),
        header(b"{}", 2**64 - 1),
        header(b"{}", 200_000_000),
        header(b"{}", 1000),
        header(b"["),
        header(b"[]"),
        header(b'{"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}}'),
        header(b'{"a":{"dtype":"I8","shape":[9223372036854775807,4],"data_offsets":[0,2]}}') + b"12",
        header(b'{"a":{"dtype":"I8","shape":[2],"data_offsets":[2,0]}}') + b"12",
        header(b'{"a":{"dtype":"I8","shape":[3],"data_offsets":[0,2]}}') + b"12",
        header(b'{"a":{"dtype":"Z9","shape":[2],"data_offsets":[0,2]}}') + b"12",
        header(b'{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}') + b"12",
        header(b'{"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}') + b"12",
        header(b'{"a":{"dtype":"I8","shape":[-2],"data_offsets":[0,2]}}') + b"12",
        header(b'{"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}}') + b"12 and more",
        b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtin\x94.",
        b"PK\x03\x04 a torch file",
    ],
)
def test_hostile_safetensors_are_refused(folder: Path, data: bytes) -> None:
    put_weights(folder, data)
    assert "the weights" in refusal(folder)


def test_the_caller_chooses_the_kind_of_error() -> None:
    with pytest.raises(BundleError, match="not a safetensors file"):
        unpack_layers([], b"nothing", BundleError)


def test_a_branch_keeps_its_own_tensors(tmp_path: Path) -> None:
    table = np.array([[0, 1, 2, 3]])
    block = Residual("block", (Activation("act", table),), (Activation("act", 3 - table),))
    last = Linear("linear", np.array([[1], [2]]), np.zeros(2, np.int64))
    layers = unpack_layers(layer_entries([block, last]), pack_layers([block, last]), NetworkError)
    assert isinstance(layers[0], Residual)
    assert layers[0].body[0].tensors()["table"].tolist() == [[0, 1, 2, 3]]
    assert layers[0].shortcut[0].tensors()["table"].tolist() == [[3, 2, 1, 0]]
