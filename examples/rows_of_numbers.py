"""Rows of numbers instead of pictures: ``python examples/rows_of_numbers.py``.

A table of 13 chemical measurements of wines from three growers (scikit-learn's copy of UCI's *Wine*). A quantised network is trained,
all of its layers run on ciphertexts, and a service on this machine answers. Any table works in the same way: transactions, sensors,
laboratory values.

A network reads squares, so a row is written into a square of numbers from 0 to 1, line by line, and the rest is filled.
"""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cryptml_client import Client, KeyStore
from sklearn.datasets import load_wine
from torch import nn

from cryptml.bundle.build import build_bundle
from cryptml.datasets.base import Dataset
from cryptml.fhe.backends.registry import load_backend
from cryptml.networks import Network, Standardisation
from cryptml.networks.architectures.registry import Architecture
from cryptml.networks.modules.blocks import input_grid, linear, signed_activation, votes
from cryptml.networks.modules.negacyclic import NegacyclicActivation
from cryptml.networks.rounding.envelope import split_envelope
from cryptml.splits import Split
from cryptml.training import Examples, TrainingSettings, train_network
from cryptml.verification.local_service import local_service

SIDE = 4
"""Of the square: 16 places for 13 numbers."""

HIDDEN = 12
"""Neurons, each one PBS."""

MIDDLE, WIDTH = 0.5, 6.0
"""A measurement at its mean becomes 0.5; one deviation is a sixth."""

ASKED = 8
"""Rows that the service is asked about."""

SUBSETS = ("train", "train", "train", "validation", "test")
"""Of row 0, 1, 2 and so on, after they were shuffled."""


def squares(rows: npt.NDArray[np.float64], like: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return (n, SIDE, SIDE) numbers in [0, 1] for (n, features) rows, scaled by means and deviations of the training rows."""
    scaled = np.clip(MIDDLE + (rows - like.mean(axis=0)) / like.std(axis=0) / WIDTH, 0, 1)
    filled = np.full((len(rows), SIDE * SIDE), MIDDLE, dtype=np.float32)
    filled[:, : rows.shape[1]] = scaled
    return filled.reshape(-1, SIDE, SIDE)


def table() -> Dataset:
    """Return the rows as a data set; each counts by itself, and none may be turned or mirrored."""
    wine = load_wine()
    order = np.random.default_rng(0).permutation(len(wine.target))
    rows, labels = wine.data[order], wine.target[order].astype(np.int64)
    subsets = tuple(SUBSETS[place % len(SUBSETS)] for place in range(len(rows)))
    trained = np.array(subsets) == "train"
    return Dataset(
        name="wine",
        images=squares(rows, rows[trained]),
        labels=labels,
        patients=tuple(f"row {place}" for place in order),
        classes=("grower-1", "grower-2", "grower-3"),
        subsets=subsets,
        patients_known=False,
        augmentation="none",
    )


def build(classes: int = 3) -> nn.Sequential:
    """Return the untrained network: one hidden layer of negacyclic activations of 3 bits, which vote."""
    return nn.Sequential(
        OrderedDict(
            grid=input_grid(bits=5),
            flatten=nn.Flatten(),
            linear1=linear(SIDE * SIDE, HIDDEN, bits=5, bias=False, scales=HIDDEN),
            wave1=NegacyclicActivation(HIDDEN, bits=3),
            act1=signed_activation(bits=3),
            votes=votes(HIDDEN, classes),
        )
    )


def train(data: Dataset) -> Network:
    """Return the trained network as integers."""
    settings = TrainingSettings(epochs=60, views=1, distil=False, learning_rate=1e-2)
    front_end = Standardisation(SIDE)
    trained = train_network(
        Architecture("rows", front_end, build),
        Examples.of(data.subset("train"), front_end),
        Examples.of(data.subset("validation"), front_end),
        settings,
    )
    return trained.network


def main() -> None:
    """Train, build, serve, and compare encrypted answers with those in the clear."""
    data = table()
    network = train(data)
    test = data.subset("test")
    right = network.logits(test.images).argmax(axis=1) == test.labels
    print(f"in the clear: {right.sum()} of {len(test)} test rows right")
    split = Split("S" * len(network))
    within = same = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        built = build_bundle(network, split, folder / "bundle", backend=load_backend("integer", "rows"))
        with (
            local_service([folder / "bundle"], folder / "data") as service,
            Client(service.url, keys=KeyStore(folder / "keys"), accept_digest=built.digest) as client,
        ):
            for square in test.images[:ASKED]:
                answer = client.predict_region(square).answer
                values = network.quantise(square[None])
                within += split_envelope(network, split, values).holds(answer.integers[None])
                same += answer.label == network.classes[network.logits(square[None]).argmax()]
                print(f"encrypted: {answer.label}, {answer.timings.total:.0f} ms")
    print(
        f"of {ASKED} encrypted answers {within} lie within what rounding may change, {same} have the label of the clear answer"
    )
    if within < ASKED:
        raise SystemExit("an answer is not what the network gives; please report this")


if __name__ == "__main__":
    main()
