"""Architectures by name or by a user's function, and the fixed places of pruned weights."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cryptml.errors import NetworkError
from cryptml.networks import Scattering
from cryptml.networks.architectures.registry import ARCHITECTURES, load_architecture
from cryptml.networks.modules.blocks import convolution, keep_taps, value_of

MODULE = "users_own_architectures"
SOURCE = """
from torch import nn
from cryptml.networks import Scattering

def build(classes):
    return nn.Sequential(nn.Linear(3, classes))
build.side = 16

def fixed():
    return nn.Sequential(nn.Linear(3, 2))

def wrong(classes):
    return "a network"

def odd(classes):
    return nn.Sequential()
odd.side = "wide"

def scattered(classes):
    return nn.Sequential()
scattered.front_end = Scattering(48, 2, 4)

def foreign(classes):
    return nn.Sequential()
foreign.front_end = print

def twofold(classes):
    return nn.Sequential()
twofold.front_end = Scattering(32)
twofold.side = 64

number = 3
"""


@pytest.fixture(autouse=True)
def _users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / f"{MODULE}.py").write_text(SOURCE)
    (tmp_path / "users_broken_module.py").write_text("def build(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop(MODULE, None)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("classes", [2, 5])
def test_a_shipped_architecture_gives_one_value_a_class(name: str, classes: int) -> None:
    architecture = load_architecture(name)
    assert architecture.name == name
    module = architecture.build(classes).eval()
    with torch.no_grad():
        found = value_of(module(torch.zeros(3, *architecture.front_end.shape)))
    assert found.shape == (3, classes)


def test_a_users_module_may_lie_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "helper_of_own.py").write_text("from torch import nn\n")
    (tmp_path / "own" / "lies_here.py").write_text(
        "def build():\n    from helper_of_own import nn\n    return nn.Sequential()\n"
    )
    monkeypatch.chdir(tmp_path / "own")
    before = list(sys.path)
    assert len(load_architecture("lies_here:build").build(2)) == 0
    assert sys.path == before
    for name in ("lies_here", "helper_of_own"):
        del sys.modules[name]


def test_a_users_function_is_loaded_with_its_side() -> None:
    architecture = load_architecture(f"{MODULE}:build")
    assert (architecture.side, architecture.name) == (16, "users-own-architectures-build")
    assert architecture.build(7)[0].out_features == 7


def test_a_users_function_is_loaded_with_its_front_end() -> None:
    architecture = load_architecture(f"{MODULE}:scattered")
    assert (architecture.front_end, architecture.side) == (Scattering(48, 2, 4), 48)


def test_a_function_without_argument_or_side_will_do() -> None:
    architecture = load_architecture(f"{MODULE}:fixed")
    assert architecture.side == 32
    assert architecture.build(7)[0].out_features == 2


def test_what_does_not_return_a_sequence_is_refused_when_built() -> None:
    architecture = load_architecture(f"{MODULE}:wrong")
    with pytest.raises(NetworkError, match=r"wrong' returns a str; return a torch\.nn\.Sequential"):
        architecture.build(2)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("resnet", "network 'resnet' is unknown; use one of conv, deep, line, reference, scatter, tiny, a design"),
        ("", "network '' is unknown"),
        (
            "no_such_module_anywhere:build",
            "cannot be imported .ModuleNotFoundError: No module named 'no_such_module_anywhere'",
        ),
        (f"{MODULE}:missing", "cannot be imported .*missing"),
        (":build", "cannot be imported .ValueError: Empty module name"),
        ("./mine.py:build", "cannot be imported .*relative import"),
        ("users_broken_module:build", "cannot be imported .SyntaxError: invalid syntax"),
        (f"{MODULE}:number", "is a int; name a function that returns a Sequential"),
        (f"{MODULE}:odd", "has the side 'wide'; set the function's attribute side"),
        (
            f"{MODULE}:foreign",
            "has the front end .*set the function's attribute front_end to a Standardisation or Scat",
        ),
        (f"{MODULE}:twofold", "has both a front end and a side; remove the side"),
        ("builtins:int", "does not say what it takes .*name a function that returns a Sequential"),
    ],
)
def test_a_spec_that_leads_nowhere_is_refused(spec: str, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        load_architecture(spec)


def test_pruned_places_depend_on_the_seed_alone() -> None:
    def masks(seed: int) -> torch.Tensor:
        return keep_taps(convolution(3, 8, 4, bits=2), taps=5, seed=seed).weight_mask

    assert torch.equal(masks(0), masks(0))
    assert not torch.equal(masks(0), masks(1))
    assert masks(0).reshape(8, -1).sum(dim=1).tolist() == [5] * 8


def test_pruned_weights_stay_zero_through_training() -> None:
    layer = keep_taps(convolution(1, 4, 3, bits=2), taps=2, seed=0)
    optimiser = torch.optim.SGD(layer.parameters(), lr=1.0)
    for _ in range(3):
        value_of(layer(torch.ones(2, 1, 3, 3))).sum().backward()
        optimiser.step()
    value_of(layer(torch.ones(2, 1, 3, 3)))
    assert (layer.weight[layer.weight_mask == 0] == 0).all()


def test_the_value_of_a_plain_tensor_is_itself() -> None:
    x = torch.ones(2)
    assert value_of(x) is x


def test_nothing_is_said_of_cuda_where_a_toolkit_is_and_no_gpu() -> None:
    """Torch prints that on import; what Brevitas imports is silent here, whichever part is first."""
    for module in ("cryptml.networks.checkpoint", "cryptml.networks.conversion", "cryptml.training"):
        environment = {**os.environ, "CUDA_HOME": "/a/toolkit", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(
            [sys.executable, "-c", f"import {module}"], env=environment, capture_output=True, text=True, check=True
        )
        assert "CUDA" not in done.stdout + done.stderr
