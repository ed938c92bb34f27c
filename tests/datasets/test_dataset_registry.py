"""The registry: what it lists, and how it answers what it does not know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryptml import datasets
from cryptml.datasets import describe_datasets, load_dataset
from cryptml.errors import DatasetError

NAMES = ["phantom", "mias", "breastmnist", "mnist", "folder"]


def test_exports() -> None:
    assert sorted(datasets.__all__) == [
        "Dataset",
        "LoadOptions",
        "describe_datasets",
        "find_duplicates",
        "load_data",
        "load_dataset",
    ]


def test_descriptions() -> None:
    assert [name for name, _, _ in describe_datasets()] == NAMES
    assert all(form.startswith(name) and text for name, form, text in describe_datasets())


@pytest.mark.parametrize("spec", ["", "emnist", "Phantom", "phantom2:images=2", ":/tmp"])
def test_unknown_names_list_the_known(spec: str) -> None:
    with pytest.raises(DatasetError, match="there is no data set") as caught:
        load_dataset(spec, 32)
    assert all(form in str(caught.value) for _, form, _ in describe_datasets())


@pytest.mark.parametrize("name", NAMES[1:])
def test_paths_are_needed_and_must_exist(name: str, tmp_path: Path) -> None:
    for spec in (name, f"{name}:"):
        with pytest.raises(DatasetError, match=f"write {name}:PATH"):
            load_dataset(spec, 32)
    with pytest.raises(DatasetError, match="does not exist"):
        load_dataset(f"{name}:{tmp_path / 'none'}", 32)
    for unusable in ("a\0b", "~nobody-of-this-name/x", "x" * 5000):
        with pytest.raises(DatasetError):
            load_dataset(f"{name}:{unusable}", 32)


@pytest.mark.parametrize("side", [7, 1025, 0, -5, True, 32.0])
def test_side(side: int) -> None:
    with pytest.raises(DatasetError, match="8 to 1024"):
        load_dataset("phantom", side)


def test_two_classes_must_be_present(tmp_path: Path) -> None:
    images = {f"{short}_images": np.zeros((2, 28, 28), np.uint8) for short in ("train", "val")}
    labels = {f"{short}_labels": np.ones(2, np.uint8) for short in ("train", "val")}
    np.savez(tmp_path / "a.npz", **images, **labels)
    with pytest.raises(DatasetError, match="'benign or normal' only"):
        load_dataset(f"breastmnist:{tmp_path}", 28)
