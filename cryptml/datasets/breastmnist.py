"""BreastMNIST: breast ultrasound pictures of 28 x 28 pixels, malignant or not.

Yang et al., "MedMNIST v2", Scientific Data 10, 2023, after Al-Dhabyani et al., "Dataset of breast ultrasound images",
Data in Brief 28, 2020 (CC BY 4.0). The set does not say which pictures share a patient, so patients are not
known, and each picture counts by itself: folds of this set may be a little optimistic.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cryptml.datasets.arrays import opened_arrays, read_array, resample
from cryptml.datasets.base import Dataset
from cryptml.errors import DatasetError

CLASSES = ("benign or normal", "malignant")
SIDE = 28
"""Side of the original pictures, in pixels."""

_SUBSETS = {"train": "train", "val": "validation", "test": "test"}
"""The file's names for subsets, and ours."""


def load(path: Path, side: int) -> Dataset:
    """Load the official arrays; the official splits become the subsets.

    The file's label 0 is malignant; here that is class 1, the positive one.

    Args:
        path: An ``.npz`` file, or a folder that holds exactly one. It needs ``train_images``, ``train_labels``,
            ``val_images`` and ``val_labels``; the arrays of ``test`` may be absent.
        side: Side of the result in pixels; smaller than 28 by area averaging, larger by bilinear interpolation.

    Raises:
        DatasetError: If the file or an array in it is missing, damaged, or not of the set's shape and values.
    """
    images: list[npt.NDArray[np.uint8]] = []
    labels: list[npt.NDArray[np.int64]] = []
    subsets: list[str] = []
    patients: list[str] = []
    with opened_arrays(path) as archive:
        members = set(archive.namelist())
        for short, subset in _SUBSETS.items():
            if short == "test" and not members & {"test_images.npy", "test_labels.npy"}:
                continue
            found_images, found_labels = _read_subset(archive, short)
            images.append(found_images)
            labels.append(1 - found_labels)
            subsets += [subset] * len(found_labels)
            patients += [f"breastmnist-{subset}-{number:05d}" for number in range(len(found_labels))]
    pictures = resample(np.concatenate(images), side)
    return Dataset(
        "breastmnist",
        pictures,
        np.concatenate(labels),
        tuple(patients),
        CLASSES,
        tuple(subsets),
        patients_known=False,
        augmentation="mirror",
    )


def _read_subset(archive: zipfile.ZipFile, short: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The pictures uint8 (n, 28, 28) and labels int64 (n,) of one subset, n at least 1."""
    images = read_array(archive, f"{short}_images", (SIDE, SIDE))
    labels = read_array(archive, f"{short}_labels", ())
    if len(images) != len(labels) or len(images) == 0:
        raise DatasetError(
            f"{short}_images has {len(images)} pictures and {short}_labels {len(labels)} labels; fetch the file again"
        )
    if labels.max() > 1:
        raise DatasetError(f"{short}_labels holds {labels.max()} where 0 or 1 is needed; fetch the file again")
    return images, labels.astype(np.int64)
