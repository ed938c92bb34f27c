"""One small trained network for all tests that only look at one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from cryptml.datasets import load_dataset
from cryptml.datasets.base import Dataset
from cryptml.networks.architectures.registry import load_architecture
from cryptml.training import Examples, TrainedNetwork, TrainingSettings, train_network


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def phantoms() -> Dataset:
    return load_dataset("phantom:images=800,contrast=0.5", 8)


@pytest.fixture(scope="session")
def few(phantoms: Dataset) -> Dataset:
    return phantoms.take(range(96))


@pytest.fixture(scope="session")
def trained(phantoms: Dataset) -> TrainedNetwork:
    settings = TrainingSettings(epochs=25, learning_rate=0.03, seed=1)
    tiny = load_architecture("tiny")
    examples = Examples.of(phantoms, tiny.front_end, views=settings.views)
    return train_network(tiny, examples.subset("train"), examples.subset("validation"), settings)
