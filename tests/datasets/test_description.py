"""What a description says of a data set beside its counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from cryptml.datasets import load_dataset
from cryptml.datasets.description import DataDescription

GREY = np.random.default_rng(1)


def pictures(folder: Path, counts: dict[str, int]) -> Path:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            PIL.Image.fromarray(GREY.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"benign": 20, "malignant": 20, "malignnt": 1}, ["'malignnt' has 1 picture and 'malignant' has 20"]),
        ({"benign": 60, "Benign": 3, "malignant": 20}, ["'Benign' has 3 pictures and 'benign' has 60"]),
        ({"benign": 20, "malignant": 20, "malignnt": 12}, []),
        ({"normal": 9, "abnormal": 8}, []),
        ({"one": 9, "three": 1}, []),
    ],
)
def test_a_class_of_few_pictures_with_nearly_the_name_of_another_is_named(
    tmp_path: Path, counts: dict[str, int], said: list[str]
) -> None:
    found = DataDescription.of(load_dataset(f"folder:{pictures(tmp_path / 'set', counts)}", 8))
    assert len(found.doubtful) == len(said)
    for words, sentence in zip(said, found.doubtful, strict=True):
        assert words in sentence
