"""A network behind a scattering front end: trained, stored, bundled, and the same integers at each step."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cryptml.bundle import ClientBundle
from cryptml.bundle.build import build_bundle
from cryptml.datasets import load_dataset
from cryptml.datasets.base import Dataset
from cryptml.errors import SettingError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.networks import Scattering, Standardisation, load_network, save_network
from cryptml.networks.architectures.registry import Architecture
from cryptml.networks.modules.blocks import activation, input_grid, keep_taps, linear
from cryptml.runtime import ClearEvaluator, run_split
from cryptml.splits import Split
from cryptml.training import Examples, TrainedNetwork, TrainingSettings, evaluate, train_network

FRONT_END = Scattering(16, octaves=2, directions=4, cells=2)


def build(classes: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            grid=input_grid(bits=3),
            hidden=keep_taps(linear(FRONT_END.shape[0], 4, bits=2), taps=8, seed=0),
            norm=nn.BatchNorm1d(4),
            act=activation(bits=2),
            linear=linear(4, classes, bits=2),
        )
    )


@pytest.fixture(scope="module")
def phantoms_16() -> Dataset:
    return load_dataset("phantom:images=400,contrast=0.5", 16)


@pytest.fixture(scope="module")
def scattered(phantoms_16: Dataset) -> TrainedNetwork:
    settings = TrainingSettings(epochs=30, learning_rate=0.02, distil=False, views=4, seed=3)
    examples = Examples.of(phantoms_16, FRONT_END, views=settings.views)
    architecture = Architecture("scattered", FRONT_END, build)
    return train_network(architecture, examples.subset("train"), examples.subset("validation"), settings)


def test_it_learns_and_agrees_with_its_program(scattered: TrainedNetwork, phantoms_16: Dataset) -> None:
    assert scattered.disagreement == 0
    assert scattered.network.front_end == FRONT_END
    assert scattered.network.boundaries[0].shape == FRONT_END.shape
    assert (
        evaluate(scattered.network, phantoms_16.subset("test")).auc > 0.75
    )  # of 64 pictures, and a few weights decide much


def test_every_form_of_it_gives_the_same_logits(
    scattered: TrainedNetwork, phantoms_16: Dataset, tmp_path: Path
) -> None:
    network, regions = scattered.network, phantoms_16.images[:8]
    expected = network.logits(regions)
    save_network(network, tmp_path / "saved", architecture=None)
    loaded = load_network(str(tmp_path / "saved"))
    assert np.array_equal(loaded.logits(regions), expected)
    build_bundle(loaded, Split("SSC"), tmp_path / "bundle", backend=compile_integer_program)
    client = ClientBundle.load(tmp_path / "bundle" / "client")
    assert client.front_end == FRONT_END
    found = [run_split(client, region, ClearEvaluator(network)).logits for region in regions]
    assert np.array_equal(found, expected)


def test_teacher_and_student_see_the_same_views(phantoms_16: Dataset) -> None:
    few = phantoms_16.take(range(6))
    heard: list[int] = []
    examples = Examples.of(few, FRONT_END, views=3, seed=5, tell=heard.append)
    assert heard == [1, 2, 3]
    assert examples.inputs.shape == (6, 3, *FRONT_END.shape)
    assert examples.pictures.shape == (6, 3, 1, 16, 16)
    plain = Examples.of(few, Standardisation(16), views=3, seed=5)
    assert torch.equal(plain.inputs, examples.pictures)
    assert torch.equal(examples.for_teacher().inputs, examples.pictures)
    assert np.array_equal(examples.inputs[:, 0].numpy(), FRONT_END.apply(few.images))
    assert not torch.equal(examples.inputs[:, 1], examples.inputs[:, 0])
    turned = Examples.of(few, FRONT_END, views=3, seed=6)
    assert torch.equal(turned.inputs[:, 0], examples.inputs[:, 0])
    assert not torch.equal(turned.inputs[:, 1], examples.inputs[:, 1])


def test_more_views_than_memory_are_refused(phantoms_16: Dataset) -> None:
    with pytest.raises(
        SettingError, match=r"9 views of 400 pictures of side 16 take 0\.0 GB where .* choose fewer views"
    ):
        Examples.of(phantoms_16, FRONT_END, views=9, most_bytes=3_000_000)
