"""MNIST: handwritten digits of 28 x 28 pixels, the yardstick of encrypted inference.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of the IEEE 86(11), 1998. Of
the training digits alone: the official test digits are for whoever judges what was made of these.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cryptml.datasets.arrays import opened_arrays, read_array, resample
from cryptml.datasets.base import Dataset
from cryptml.errors import DatasetError

SIDE = 28
CLASSES = tuple(map(str, range(10)))
HELD_OUT = 1 / 12
"""Share of the digits, the last, that is the test subset, and of those before, the validation subset: 5,000 of 60,000 each."""


def load(path: Path, side: int) -> Dataset:
    """Load digits; the last twelfth is the test subset, the one before it the validation subset.

    Args:
        path: An ``.npz`` file with ``images`` uint8 (n, 28, 28) and ``labels`` uint8 (n,), or a folder that holds exactly one.
        side: Side of the result in pixels; smaller than 28 by area averaging, larger by bilinear interpolation.

    Raises:
        DatasetError: If the file or an array in it is missing, damaged, or not of the set's shape and values.
    """
    with opened_arrays(path) as archive:
        images, labels = read_array(archive, "images", (SIDE, SIDE)), read_array(archive, "labels", ())
        if len(images) != len(labels) or len(images) < len(CLASSES):
            raise DatasetError(f"it has {len(images)} images and {len(labels)} labels; fetch the file again")
        if labels.max() >= len(CLASSES):
            raise DatasetError(f"labels holds {labels.max()} where 0 to 9 is needed; fetch the file again")
    held_out = max(1, round(HELD_OUT * len(images)))
    learned = len(images) - 2 * held_out
    return Dataset(
        "mnist",
        resample(images, side),
        labels.astype(np.int64),
        tuple(f"mnist-{number:05d}" for number in range(len(images))),
        CLASSES,
        ("train",) * learned + ("validation",) * held_out + ("test",) * held_out,
        patients_known=False,
        augmentation="shift",
    )
