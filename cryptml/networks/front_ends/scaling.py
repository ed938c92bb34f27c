"""How the pixels of a region become the input of a backbone: as its publisher trained it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cryptml.networks.boundary import FloatArray
from cryptml.networks.front_ends.standardisation import Standardisation

STANDARD, UNIT, IMAGENET = "standard", "unit", "imagenet"

SCALINGS: Mapping[str, str] = {
    STANDARD: "standardised by its own mean and deviation",
    UNIT: "in [0, 1]",
    IMAGENET: "less ImageNet's mean, over its deviation, a colour each",
}
"""By name, what each does."""

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue in [0, 1], over the training pictures of ImageNet 2012, as torchvision's models take them."""


def scaled(regions: FloatArray, scaling: str, channels: int) -> FloatArray:
    """Return (batch, channels, side, side) float32.

    Args:
        regions: (batch, side, side) float32 in [0, 1].
        scaling: One of `SCALINGS`.
        channels: 1, or 3, which are the same picture but for ImageNet's colours.
    """
    if scaling == STANDARD:
        return np.repeat(Standardisation(regions.shape[1]).apply(regions), channels, axis=1)
    grey = np.repeat(regions[:, None].astype(np.float32), channels, axis=1)
    if scaling == UNIT:
        return grey
    mean, deviation = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_DEVIATION, np.float32)
    if channels == 1:
        mean, deviation = mean.mean(keepdims=True), deviation.mean(keepdims=True)
    return (grey - mean[:, None, None]) / deviation[:, None, None]
