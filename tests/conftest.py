"""What several tests share: the shipped networks, bundles of them, a service in a process of its own."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

warnings.filterwarnings("ignore", module="brevitas|torch")

from cryptml.bundle.build import build_bundle
from cryptml.bundle.server import ServerBundle
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.networks import Boundary, FloatArray, IntArray, Network, Standardisation, load_network
from cryptml.networks.layers import Activation, Layer, Linear
from cryptml.splits import Split
from cryptml.verification.local_service import local_service
from tests import measuring

# What it learns of failed examples stays out of the working tree.
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / f"cryptml-hypothesis-{os.getuid()}")
# Tests run beside each other: how long an example takes says nothing.
settings.register_profile("beside-others", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("beside-others")

BuildTiny = Callable[[str], ServerBundle]

LONGEST_FILES = (
    "test_cluster.py",
    "test_profiling.py",
    "test_memory_forecast.py",
    "test_readiness.py",
    "test_search.py",
    "test_installations.py",
)
"""Begun first, so that no worker of a run has minutes to go when the others are done."""


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(measuring, "measuring")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: place for place, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


@pytest.fixture(scope="module")
def unmeasured_children() -> Iterator[None]:
    """For files whose many processes run what those of other files run too: measuring a process takes as long again as its start."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [each for each in os.environ if each.startswith("COVERAGE_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def tiny() -> Network:
    return load_network("tiny")


@pytest.fixture(scope="session")
def reference() -> Network:
    return load_network("reference")


@pytest.fixture(scope="session")
def two_tables() -> Network:
    """A table of one bit, a linear layer, a table of five bits, on 2x2 regions: alone they take different key parameters."""
    return _tables([[9, -3, 0, 9], [0, 5, 9, -9], [9, 9, 2, 1]], [3, 9, 0], np.arange(32) % 3)


@pytest.fixture(scope="session")
def smaller_tables() -> Network:
    """As `two_tables`, with a second table of three bits: for what makes keys and evaluates again and again."""
    return _tables([[2, -1, 0, 2], [0, 1, 2, -2], [1, 1, 2, 1]], [1, 2, 0], np.arange(8) % 3)


def _tables(weight: list[list[int]], bias: list[int], table: IntArray) -> Network:
    boundaries = [Boundary((1, 2, 2), 0, 1, (0.75,))]
    layers: list[Layer] = []

    def add(layer: Layer) -> None:
        extent = layer.propagate(boundaries[-1].extent())
        layers.append(layer)
        boundaries.append(Boundary(extent.shape, int(extent.low.min()), int(extent.high.max()), (1.0,)))

    add(Activation("act1", np.array([[1, 0]])))
    add(Linear("linear", np.array(weight), np.array(bias)))
    add(Activation("act2", table[None], boundaries[-1].low))
    return Network("three", Standardisation(2), tuple(layers), tuple(boundaries), ("a", "b", "c"))


@pytest.fixture(scope="session")
def tiny_regions() -> FloatArray:
    """Random 8x8 regions: (64, 8, 8) in [0, 1]."""
    return np.random.default_rng(7).random((64, 8, 8), dtype=np.float32)


@pytest.fixture(scope="session")
def build_tiny(tiny: Network, tmp_path_factory: pytest.TempPathFactory) -> BuildTiny:
    """Builds the tiny network's bundle for a split, once a session."""
    built: dict[str, ServerBundle] = {}

    def build(split: str) -> ServerBundle:
        if split not in built:
            out = tmp_path_factory.mktemp("bundles") / split
            built[split] = build_bundle(tiny, Split(split), out, backend=compile_integer_program)
        return built[split]

    return build


@pytest.fixture(scope="session")
def tiny_service(build_tiny: BuildTiny, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyService]:
    """A service of the tiny network, split CCSSS, behind a real socket and in a process of its own."""
    data = tmp_path_factory.mktemp("service")
    bundle = build_tiny("CCSSS")
    with local_service([bundle.folder], data) as running:
        yield TinyService(running.url, data, bundle)


class TinyService:
    """Where the service is, where it stores keys, what it serves."""

    def __init__(self, url: str, data: Path, bundle: ServerBundle) -> None:
        self.url = url
        self.data = data
        self.bundle = bundle
