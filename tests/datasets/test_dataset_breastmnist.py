"""BreastMNIST: subsets, the turned label, resampling, and hostile files."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryptml.datasets import load_dataset
from cryptml.errors import DatasetError


def arrays(**changes: object) -> dict[str, Any]:
    """A small set of the official layout; changes replace or, when None, remove arrays."""
    random = np.random.default_rng(0)
    found: dict[str, Any] = {}
    for short, number in (("train", 6), ("val", 4), ("test", 3)):
        found[f"{short}_images"] = random.integers(0, 256, (number, 28, 28), np.uint8)
        found[f"{short}_labels"] = (np.arange(number) % 2).astype(np.uint8).reshape(-1, 1)
    found.update(changes)
    return {name: array for name, array in found.items() if array is not None}


def write(folder: Path, **changes: object) -> Path:
    path = folder / "breastmnist.npz"
    np.savez_compressed(path, **arrays(**changes))
    return path


def replace_member(path: Path, name: str, content: bytes) -> Path:
    """Write the archive again with other bytes for one array."""
    with zipfile.ZipFile(path) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    members[f"{name}.npy"] = content
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, data in members.items():
            archive.writestr(each, data)
    return path


def header(shape: tuple[int, ...], version: tuple[int, int] = (1, 0)) -> bytes:
    stream = io.BytesIO()
    fields = {"descr": "|u1", "fortran_order": False, "shape": shape}
    if version == (1, 0):
        np.lib.format.write_array_header_1_0(stream, fields)
    else:
        np.lib.format.write_array_header_2_0(stream, fields)
    return stream.getvalue()


def test_official_splits_and_the_turned_label(tmp_path: Path) -> None:
    dataset = load_dataset(f"breastmnist:{write(tmp_path)}", 28)
    original = arrays()
    assert dataset.classes == ("benign or normal", "malignant")
    assert dataset.subset("train").labels.tolist() == [1, 0, 1, 0, 1, 0]
    assert [len(dataset.subset(name)) for name in ("train", "validation", "test")] == [6, 4, 3]
    assert len(set(dataset.patients)) == 13
    np.testing.assert_allclose(dataset.subset("validation").images, original["val_images"] / np.float32(255))


def test_folder_without_a_test_subset_and_flat_labels(tmp_path: Path) -> None:
    write(tmp_path, test_images=None, test_labels=None, train_labels=np.array([0, 1, 1, 1, 0, 0], np.uint8))
    dataset = load_dataset(f"breastmnist:{tmp_path}", 28)
    assert set(dataset.subsets) == {"train", "validation"}
    assert dataset.labels[:6].tolist() == [1, 0, 0, 0, 1, 1]


def test_other_orders_and_versions_of_the_format(tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (6, 28, 28), np.uint8)
    path = write(tmp_path, train_images=np.asfortranarray(images))
    replace_member(path, "val_labels", header((4,), (2, 0)) + b"\0\1\0\1")
    dataset = load_dataset(f"breastmnist:{path}", 28)
    np.testing.assert_allclose(dataset.subset("train").images, images / 255, atol=1e-6)
    assert dataset.subset("validation").labels.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("side", [14, 20, 56])
def test_other_sides_keep_the_mean(tmp_path: Path, side: int) -> None:
    path = write(tmp_path)
    original, other = load_dataset(f"breastmnist:{path}", 28), load_dataset(f"breastmnist:{path}", side)
    assert other.images.shape == (13, side, side)
    np.testing.assert_allclose(other.images.mean((1, 2)), original.images.mean((1, 2)), atol=0.01)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_images": None}, "train_images is missing"),
        ({"test_labels": None}, "test_labels is missing"),
        ({"train_images": np.zeros((6, 28, 28))}, "float64"),
        ({"train_images": np.zeros((6, 28, 27), np.uint8)}, r"\(6, 28, 27\)"),
        ({"train_images": np.array(5, np.uint8)}, r"uint8 \(\)"),
        ({"train_labels": np.zeros((6, 2), np.uint8)}, r"\(6, 2\)"),
        ({"train_labels": np.zeros(5, np.uint8)}, "6 pictures and train_labels 5"),
        ({"train_labels": np.full(6, 2, np.uint8)}, "holds 2"),
        ({"train_images": np.zeros((0, 28, 28), np.uint8), "train_labels": np.zeros(0, np.uint8)}, "0 pictures"),
        ({"train_labels": np.array([object()] * 6, object)}, "object"),
    ],
)
def test_wrong_arrays(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        load_dataset(f"breastmnist:{write(tmp_path, **changes)}", 28)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header((10**9, 28, 28)), "100000"),
        (header((-1, 28, 28)), "uint8"),
        (header((6, 28, 28)) + b"\0" * 100, "4704 bytes"),
        (header((6, 28, 28)) + b"\0" * 5000, "4704 bytes"),
        (b"\x93NUMPY\x03\x00" + header((6, 28, 28))[8:], r"\(3, 0\)"),
        (b"not an array", "usable"),
        (b"", "usable"),
    ],
)
def test_hostile_arrays(tmp_path: Path, content: bytes, words: str) -> None:
    path = replace_member(write(tmp_path), "train_images", content)
    with pytest.raises(DatasetError, match=words) as caught:
        load_dataset(f"breastmnist:{path}", 28)
    assert str(path) in str(caught.value)


def test_not_an_archive(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"hello")
    with pytest.raises(DatasetError, match="usable"):
        load_dataset(f"breastmnist:{tmp_path}", 28)


def test_damaged_archive(tmp_path: Path) -> None:
    path = write(tmp_path)
    content = bytearray(path.read_bytes())
    content[200:400] = bytes(200)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="usable"):
        load_dataset(f"breastmnist:{path}", 28)


@pytest.mark.parametrize("number", [0, 2])
def test_a_folder_needs_exactly_one_file(tmp_path: Path, number: int) -> None:
    for each in range(number):
        (tmp_path / f"{each}.npz").touch()
    with pytest.raises(DatasetError, match=f"{number} .npz files"):
        load_dataset(f"breastmnist:{tmp_path}", 28)
