"""Pictures that are in memory already."""

from __future__ import annotations

import numpy as np
import pytest

from cryptml.errors import ImageError
from cryptml.images import Image, image_from_array


def test_is_copied_and_read_only() -> None:
    array = np.zeros((2, 3))
    image = image_from_array(array)
    array[0, 0] = 1
    assert image.pixels[0, 0] == 0
    assert image.source == "array"
    with pytest.raises(ValueError):
        image.pixels[0, 0] = 1


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 2), np.uint8), "uint8"),
        (np.zeros(4), r"\(4,\)"),
        (np.zeros((0, 4)), r"\(0, 4\)"),
        (np.full((2, 2), np.nan), "NaN"),
        (np.full((2, 2), np.inf), "infinite"),
        (np.full((2, 2), 1.5), r"\[1.5, 1.5\]"),
        (np.full((2, 2), -0.1), r"\[-0.1, -0.1\]"),
    ],
)
def test_refusals(array: np.ndarray, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        image_from_array(array)


@pytest.mark.parametrize("pixels", [np.zeros((2, 2)), [[0.0]]])
def test_image_takes_float32_alone(pixels: object) -> None:
    with pytest.raises(ImageError, match="float32"):
        Image(pixels, "test")  # type: ignore[arg-type]
