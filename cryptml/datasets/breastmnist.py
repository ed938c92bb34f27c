"""BreastMNIST: breast ultrasound pictures of 28 x 28 pixels, malignant or not.

Yang et al., "MedMNIST v2", Scientific Data 10, 2023, after Al-Dhabyani et al., "Dataset of breast ultrasound images",
Data in Brief 28, 2020 (CC BY 4.0). The set does not say which pictures share a patient, so patients are not
known, and each picture counts by itself: folds of this set may be a little optimistic.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from cryptml.datasets.base import Dataset
from cryptml.errors import DatasetError
from cryptml.images import reduce_area

CLASSES = ("benign or normal", "malignant")
SIDE = 28
"""Side of the original pictures, in pixels."""

MAX_IMAGES = 100_000
"""Most pictures that a subset may declare; the official file has 546."""

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
    file = _npz_file(path)
    images: list[npt.NDArray[np.uint8]] = []
    labels: list[npt.NDArray[np.int64]] = []
    subsets: list[str] = []
    patients: list[str] = []
    try:
        with zipfile.ZipFile(file) as archive:
            members = set(archive.namelist())
            for short, subset in _SUBSETS.items():
                if short == "test" and not members & {"test_images.npy", "test_labels.npy"}:
                    continue
                found_images, found_labels = _read_subset(archive, short)
                images.append(found_images)
                labels.append(1 - found_labels)
                subsets += [subset] * len(found_labels)
                patients += [f"breastmnist-{subset}-{number:05d}" for number in range(len(found_labels))]
    except DatasetError as error:
        raise DatasetError(f"{file}: {error}") from error
    except Exception as error:  # zip and its decompressors raise any kind on damaged bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"{file} is not a usable .npz file ({reason[:200]}); fetch it again") from error
    pictures = _resample(np.concatenate(images), side)
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


def _npz_file(path: Path) -> Path:
    """The file itself, where a folder is given."""
    if not path.is_dir():
        return path
    files = sorted(path.glob("*.npz"))
    if len(files) != 1:
        raise DatasetError(f"{path} holds {len(files)} .npz files where 1 is needed; give the path of the file itself")
    return files[0]


def _read_subset(archive: zipfile.ZipFile, short: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The pictures uint8 (n, 28, 28) and labels int64 (n,) of one subset, n at least 1."""
    images = _read_array(archive, f"{short}_images", (SIDE, SIDE))
    labels = _read_array(archive, f"{short}_labels", ())
    if len(images) != len(labels) or len(images) == 0:
        raise DatasetError(
            f"{short}_images has {len(images)} pictures and {short}_labels {len(labels)} labels; fetch the file again"
        )
    if labels.max() > 1:
        raise DatasetError(f"{short}_labels holds {labels.max()} where 0 or 1 is needed; fetch the file again")
    return images, labels.astype(np.int64)


def _read_array(archive: zipfile.ZipFile, name: str, item: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """One uint8 array of shape (n, *item), checked by its header before any of it is read; (n, 1) labels are flattened.

    Raises:
        DatasetError: If it is missing, of another dtype or shape, too large, or not as long as declared.
    """
    if f"{name}.npy" not in archive.namelist():
        raise DatasetError(f"the array {name} is missing; fetch the official file")
    with archive.open(f"{name}.npy") as stream:
        shape, fortran, dtype = _read_header(stream, name)
        if len(shape) == 2 and not item and shape[1] == 1:
            shape = shape[:1]
        if dtype != np.uint8 or len(shape) == 0 or shape[1:] != item or not 0 <= shape[0] <= MAX_IMAGES:
            wanted = ", ".join(["n", *map(str, item)])
            raise DatasetError(
                f"the array {name} is {dtype} {shape} where uint8 ({wanted}) with n up to {MAX_IMAGES} is needed; "
                "fetch the official file"
            )
        length = math.prod(shape)
        data = stream.read(length + 1)
    if len(data) != length:
        raise DatasetError(f"the array {name} does not hold the {length} bytes that it declares; fetch the file again")
    return np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran else "C")


def _read_header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Shape, order and dtype of an array in NumPy's format (versions 1.0 and 2.0), leaving the stream at its data."""
    version = np.lib.format.read_magic(stream)  # type: ignore[no-untyped-call]
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(stream)  # type: ignore[no-untyped-call]
    elif version == (2, 0):
        header = np.lib.format.read_array_header_2_0(stream)  # type: ignore[no-untyped-call]
    else:
        raise DatasetError(f"the array {name} has the format {version} where (1, 0) or (2, 0) is needed; save it again")
    shape, fortran, dtype = header
    return shape, fortran, dtype


def _resample(images: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.float32]:
    """uint8 (n, 28, 28) to float32 (n, side, side) in [0, 1]."""
    grey = images.astype(np.float32) / np.float32(255)
    if side == SIDE:
        return grey
    if side < SIDE:
        return np.stack([reduce_area(image, side) for image in grey])
    from PIL import Image

    bilinear = Image.Resampling.BILINEAR
    larger = [np.asarray(Image.fromarray(image).resize((side, side), bilinear), np.float32) for image in grey]
    return np.clip(np.stack(larger), 0, 1)
