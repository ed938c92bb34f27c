"""Bundles that are built once, and copied for the tests that damage them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cryptml.bundle.build import build_bundle
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.networks import Network
from cryptml.splits import Split
from tests.bundle.bundle_samples import sample_network

Bundles = Callable[[str], Path]


@pytest.fixture(scope="session")
def network() -> Network:
    return sample_network()


@pytest.fixture(scope="session")
def built(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    """Gives the folder of the network's bundle for a split; to be read only."""
    folders: dict[str, Path] = {}

    def build(split: str) -> Path:
        if split not in folders:
            folders[split] = tmp_path_factory.mktemp("built") / f"sample-{split.lower()}"
            build_bundle(network, Split(split), folders[split], backend=compile_integer_program)
        return folders[split]

    return build


@pytest.fixture
def bundle(built: Bundles, tmp_path: Path) -> Path:
    """A bundle of split CSSSC to be damaged."""
    return Path(shutil.copytree(built("CSSSC"), tmp_path / "mine"))
