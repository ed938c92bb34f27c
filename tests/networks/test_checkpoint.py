"""The Brevitas parameters beside a network: the same integers again, or a clear refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from brevitas import config
from safetensors.torch import load, save
from torch import nn

from cryptml.errors import NetworkError
from cryptml.networks import Network, Standardisation, load_network, save_network, shipped_networks
from cryptml.networks.architectures import reference, tiny
from cryptml.networks.checkpoint import CHECKPOINT_FILE, load_checkpoint, save_checkpoint
from cryptml.networks.conversion import convert
from cryptml.networks.modules import module_state
from cryptml.networks.modules.blocks import value_of
from cryptml.networks.shipped import DEFAULT_SPLITS
from cryptml.networks.storage import NETWORK_FILE

SIDES = {"tiny": tiny.SIDE, "reference": reference.SIDE}
BUILDS = {"tiny": tiny.build, "reference": reference.build}


def train(module: nn.Sequential, side: int, steps: int = 3) -> nn.Sequential:
    """Take a few steps of training: weights, scales and statistics all move."""
    module.train()
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    for seed in range(steps):
        generator = torch.Generator().manual_seed(seed)
        logits = value_of(module(torch.randn(32, 1, side, side, generator=generator)))
        nn.functional.cross_entropy(logits, torch.arange(32) % 2).backward()
        optimiser.step()
        optimiser.zero_grad()
    return module.eval()


def as_network(module: nn.Sequential, name: str) -> Network:
    return convert(module, name=name, front_end=Standardisation(SIDES[name]), classes=("a", "b"))


def saved(folder: Path, name: str = "tiny", architecture: str | None = "tiny") -> tuple[nn.Sequential, Network]:
    torch.manual_seed(3)
    module = train(BUILDS[name](), SIDES[name])
    network = as_network(module, name)
    save_network(network, folder, architecture=architecture and name)
    save_checkpoint(module, folder)
    return module, network


def equal(one: Network, other: Network) -> bool:
    return one.boundaries == other.boundaries and all(
        np.array_equal(left.tensors()[key], right.tensors()[key])
        for left, right in zip(one.layers, other.layers, strict=True)
        for key in left.tensors()
    )


@pytest.mark.parametrize("name", SIDES)
def test_a_checkpoint_gives_the_same_integers_again(tmp_path: Path, name: str) -> None:
    _, network = saved(tmp_path, name)
    again = load_checkpoint(str(tmp_path), network)
    assert not again.training
    assert equal(as_network(again, name), network)


@pytest.mark.parametrize("name", SIDES)
def test_a_snapshot_undoes_further_training(name: str) -> None:
    torch.manual_seed(5)
    module = train(BUILDS[name](), SIDES[name])
    before, snapshot = as_network(module, name), module_state.take(module)
    assert not equal(as_network(train(module, SIDES[name], 5), name), before)
    flag = config.REINIT_ON_STATE_DICT_LOAD
    module_state.restore(module, snapshot)
    assert flag == config.REINIT_ON_STATE_DICT_LOAD
    assert equal(as_network(module, name), before)


def test_a_failed_restore_leaves_the_setting_of_brevitas_alone() -> None:
    flag = config.REINIT_ON_STATE_DICT_LOAD
    with pytest.raises(RuntimeError, match="Missing key"):
        module_state.restore(tiny.build(), {})
    assert flag == config.REINIT_ON_STATE_DICT_LOAD


def test_a_network_without_architecture_cannot_be_built_again(tmp_path: Path) -> None:
    _, network = saved(tmp_path, architecture=None)
    with pytest.raises(NetworkError, match="'tiny' does not say which architecture"):
        load_checkpoint(str(tmp_path), network)


def test_an_architecture_that_is_gone_is_named(tmp_path: Path) -> None:
    _, network = saved(tmp_path)
    document = json.loads((tmp_path / NETWORK_FILE).read_text())
    (tmp_path / NETWORK_FILE).write_text(json.dumps(document | {"architecture": "gone_for_good:build"}))
    with pytest.raises(NetworkError, match="pass `architecture` gone_for_good:build if you trust it"):
        load_checkpoint(str(tmp_path), network)
    with pytest.raises(NetworkError, match="'gone_for_good:build' cannot be imported"):
        load_checkpoint(str(tmp_path), network, "gone_for_good:build")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    _, network = saved(tmp_path)
    (tmp_path / CHECKPOINT_FILE).unlink()
    with pytest.raises(NetworkError, match=f"{CHECKPOINT_FILE} is missing"):
        load_checkpoint(str(tmp_path), network)


def without_one(data: bytes) -> bytes:
    state = load(data)
    state.pop("linear.bias")
    return save(state)


def with_another(data: bytes) -> bytes:
    return save({**load(data), "extra": torch.zeros(1)})


def of_another_shape(data: bytes) -> bytes:
    return save({**load(data), "linear.weight": torch.zeros(2, 3)})


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda data: data[: len(data) // 2],
        lambda _: b"\xff" * 64,
        lambda _: b"\x80\x04K\x01.",
        without_one,
        with_another,
        of_another_shape,
    ],
    ids=["empty", "truncated", "huge header", "pickle", "missing", "extra", "shape"],
)
def test_parameters_that_do_not_fit_are_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    _, network = saved(tmp_path)
    path = tmp_path / CHECKPOINT_FILE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        NetworkError, match=f"{CHECKPOINT_FILE} does not fit architecture 'tiny' .*train it again"
    ) as caught:
        load_checkpoint(str(tmp_path), network)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", sorted(DEFAULT_SPLITS))
def test_the_parameters_of_a_shipped_network_give_its_integers_again(name: str) -> None:
    network = load_network(name)
    module = load_checkpoint(name, network)
    again = convert(module, name=name, front_end=network.front_end, classes=network.classes)
    assert again.boundaries == network.boundaries
    for layer, shipped in zip(again.layers, network.layers, strict=True):
        assert layer.attributes() == shipped.attributes()
        for key, value in shipped.tensors().items():
            assert np.array_equal(layer.tensors()[key], value), (layer.name, key)


def test_every_shipped_network_has_a_default_split() -> None:
    assert set(DEFAULT_SPLITS) == set(shipped_networks())
