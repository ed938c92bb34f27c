"""Squares of a picture, read one by one and answered about as a whole."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cryptml.bundle.build import build_bundle
from cryptml.bundle.client import ClientBundle
from cryptml.datasets import load_dataset
from cryptml.errors import NetworkError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.fhe.server import ServerCircuit, load_evaluation_keys
from cryptml.networks import Network
from cryptml.networks.architectures.head import pooled_head
from cryptml.networks.architectures.registry import Architecture
from cryptml.networks.front_ends import Deep, Scattering, Squares, Standardisation, restore_front_end
from cryptml.networks.rounding.envelope import envelope
from cryptml.networks.textures import random_textures
from cryptml.splits import Segment, Split, enumerate_splits
from cryptml.training import Examples, train_network
from cryptml.training.recipes import RECIPES

ROOT = Path(__file__).parents[2]
SMALL = Squares(2, Deep(16, cells=1))


@pytest.fixture(scope="module")
def network() -> Network:
    architecture = Architecture("own:whole", SMALL, lambda classes: pooled_head(SMALL.shape[0], 4, 2, classes))
    settings = replace(RECIPES["deep"], epochs=2, views=1, distil=False)
    data = load_dataset("phantom:images=80,contrast=0.5", SMALL.side)
    return train_network(architecture, Examples.of(data, SMALL), None, settings).network


@pytest.mark.parametrize("part", [Deep(16), Deep(16, "mirror", cells=1), Scattering(10, octaves=2, directions=4)])
def test_every_square_is_read_as_if_it_were_alone(part: Deep | Scattering) -> None:
    front_end = Squares(3, part)
    regions = random_textures(front_end.side, 2, 4)
    found = front_end.apply(regions)
    assert found.shape == (2, *front_end.shape) == (2, part.shape[0], 3, 3)
    for row in range(3):
        for column in range(3):
            square = regions[:, row * part.side : (row + 1) * part.side, column * part.side : (column + 1) * part.side]
            np.testing.assert_allclose(found[:, :, row, column], part.apply(square), atol=1e-5)
    assert restore_front_end(json.loads(json.dumps(front_end.to_json()))) == front_end
    assert "cut into 3 x 3 squares, each " in front_end.description


def test_what_cannot_be_cut_is_refused() -> None:
    for across in (1, 9):
        with pytest.raises(NetworkError, match="give 2 to 8"):
            Squares(across, Deep(16))
    with pytest.raises(NetworkError, match="do not make a side of 33"):
        restore_front_end({**SMALL.to_json(), "side": 33})
    with pytest.raises(NetworkError, match="do not fit"):
        SMALL.apply(random_textures(16, 1))
    assert not isinstance(SMALL, Standardisation)


def test_the_answer_is_the_sum_of_what_the_squares_say(network: Network) -> None:
    """Neurons and tables are those of every square: whichever order these have, the answer is the same."""
    values = network.quantise(random_textures(SMALL.side, 6, 3))
    turned = values[:, :, ::-1, ::-1]
    answers = [network.run(values), network.run(turned)]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert network.bootstraps(Segment(0, len(network))) == 2 * 4
    assert network.boundaries[-1].shape == (2,)
    assert len(np.unique(answers[0], axis=0)) > 1


def test_every_split_gives_the_same_integers(network: Network) -> None:
    values = network.quantise(random_textures(SMALL.side, 3, 5))
    whole = network.run(values)
    for split in enumerate_splits(len(network)):
        found = values
        for _, segment in split.segments:
            found = network.run(found, segment)
        np.testing.assert_array_equal(found, whole)


@pytest.mark.encrypted
def test_the_encrypted_answer_is_what_rounding_may_make_of_it(network: Network, tmp_path: Path) -> None:
    split = Split("S" * len(network))
    bundle = build_bundle(network, split, tmp_path / "bundle", backend=compile_integer_program)
    (step,) = ClientBundle.load(bundle.folder / "client").server_steps
    keys = KeySet.generate(step.circuit)
    client, server = ClientCircuit(step.circuit, keys), ServerCircuit(bundle.circuit_folder(0))
    values = network.quantise(random_textures(SMALL.side, 1, 6))
    answer = client.decrypt(server.evaluate(client.encrypt(values), load_evaluation_keys(keys.evaluation_keys)))
    possible = envelope(network, values, Segment(0, len(network)))
    assert possible.holds(answer.reshape(possible.shape))


def test_the_example_is_a_network_of_sixteen_squares() -> None:
    found: dict[str, Any] = runpy.run_path(str(ROOT / "examples/whole_pictures.py"))
    whole = found["whole"]
    assert whole.front_end.side == 128
    module = whole(2).eval()
    with torch.no_grad():
        logits = module(torch.from_numpy(whole.front_end.apply(random_textures(128, 2, 1))))
    assert getattr(logits, "value", logits).shape == (2, 2)
