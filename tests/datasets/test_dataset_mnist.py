"""MNIST: which digits are held out, damaged files, and the networks of the example."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryptml.datasets import load_dataset
from cryptml.errors import DatasetError, NetworkError
from cryptml.networks.architectures.registry import Architecture
from cryptml.training.recipes import RECIPES, recipe

ROOT = Path(__file__).parents[2]


def write(folder: Path, **changes: Any) -> Path:
    random = np.random.default_rng(0)
    arrays = {
        "images": random.integers(0, 256, (36, 28, 28), np.uint8),
        "labels": (np.arange(36) % 10).astype(np.uint8),
        **changes,
    }
    path = folder / "mnist.npz"
    np.savez_compressed(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_the_last_digits_are_held_out(tmp_path: Path) -> None:
    path = write(tmp_path)
    data = load_dataset(f"mnist:{path}", 28)
    assert data.classes == tuple("0123456789")
    assert data.subsets == ("train",) * 30 + ("validation",) * 3 + ("test",) * 3
    assert data.labels.tolist() == [number % 10 for number in range(36)]
    np.testing.assert_array_equal(data.images, np.load(path)["images"].astype(np.float32) / np.float32(255))
    assert (data.positive_class, data.patients_known, data.augmentation) == (None, False, "shift")
    assert load_dataset(f"mnist:{tmp_path}", 14).images.shape == (36, 14, 14)
    assert load_dataset(f"mnist:{tmp_path}", 32).images.shape == (36, 32, 32)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": None}, "the array images is missing"),
        ({"labels": np.zeros(35, np.uint8)}, "36 images and 35 labels"),
        ({"labels": np.full(36, 10, np.uint8)}, "labels holds 10 where 0 to 9"),
        ({"images": np.zeros((36, 28, 27), np.uint8)}, "where uint8"),
        ({"images": np.zeros((5, 28, 28), np.uint8), "labels": np.zeros(5, np.uint8)}, "5 images and 5 labels"),
        ({"labels": np.array([{}] * 36)}, "is object"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        load_dataset(f"mnist:{write(tmp_path, **changes)}", 28)


@pytest.mark.parametrize(("name", "tables"), [("fast", 10), ("deep", 20), ("both", 20)])
def test_networks_of_the_example_have_tables_for_each_digit(name: str, tables: int) -> None:
    function = runpy.run_path(str(ROOT / "examples/mnist_networks.py"))[name]
    layers = dict(function(10).named_children())
    assert layers["linear1"].in_features == function.front_end.shape[0]
    assert layers["linear1"].out_features == tables
    architecture = Architecture("mnist_networks:x", function.front_end, function, trained_as=function.trained_as)
    assert recipe(architecture) == RECIPES["line"]


def test_a_recipe_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(NetworkError, match="is to be trained as 'nobody'"):
        recipe(Architecture("a:b", None, lambda _: None, trained_as="nobody"))  # type: ignore[arg-type,return-value]
