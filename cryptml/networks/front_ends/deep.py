"""A convolutional network that learned to see from synthetic scenes alone: deep features, the same weights for every client."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from safetensors.numpy import load

from cryptml.errors import NetworkError
from cryptml.networks.boundary import FloatArray
from cryptml.networks.front_ends.standardisation import Standardisation

WEIGHTS_FILE = "deep.safetensors"
"""Beside this file; `cryptml pretrain` writes another from nothing but a seed."""

STEPS = 6000
"""Of the training that the weights of the package came of."""

KERNELS = (5, 3, 3)
"""Sides of the convolutions' windows, padded so that maps keep their size."""

WIDTHS = (16, 32, 64)
"""Maps that each of them gives."""

CELLS = 2
"""Maps are averaged over so many parts each way; neighbouring parts share a row where the side is odd."""

SYMMETRIES = {"none": 1, "mirror": 2, "square": 8}
"""What features are averaged over, and how many pictures that takes: the region alone; itself and its mirror image, left for right; the
eight turns and mirror images of a square."""

LEAST_SIDE, MOST_SIDE = 16, 256

_BATCH = 64


@dataclass(frozen=True)
class Deep:
    """Averages of the maps of three convolutions, each behind a rectifier, halved in between.

    The weights are a part of the package, not of a network: they were learned from pictures that a generator draws
    (`cryptml.training.teachers.scenes`), before any network was trained. A client runs its own copy, so nothing of a
    provider's data can hide in them.

    Averaged over symmetries, features say the same of a region and of its mirror images. Cells still differ, because a filter has a
    direction: near the edge, as seen from the middle, or along it. Whether a lesion is round or has rays is in that, where it
    lies is not.

    Attributes:
        side: Rows and columns of the region that it takes, in pixels.
        symmetries: One of `SYMMETRIES`.
        cells: `CELLS`, or 1 for the mean of all cells, which makes features four times fewer.
    """

    side: int
    symmetries: str = "none"
    cells: int = CELLS
    kind: ClassVar[str] = "deep"

    def __post_init__(self) -> None:
        if self.symmetries not in SYMMETRIES:
            raise NetworkError(
                f"a deep front end cannot average over symmetries {self.symmetries!r}; choose {', '.join(SYMMETRIES)}"
            )
        if self.cells not in (1, CELLS):
            raise NetworkError(f"a deep front end cannot have {self.cells} cells each way; choose 1 or {CELLS}")
        if not LEAST_SIDE <= self.side <= MOST_SIDE:
            raise NetworkError(f"a deep front end with side {self.side}; side lies in [{LEAST_SIDE}, {MOST_SIDE}]")

    @property
    def shape(self) -> tuple[int]:
        """Shape of what it gives, (features,): of the first convolution, the second, the third, each by map and cell."""
        return (sum(WIDTHS) * self.cells**2,)

    @property
    def description(self) -> str:
        """See `FrontEnd.description`."""
        return (
            f"standardised by its own mean and deviation, then {self.shape[0]} averages of the maps of {len(WIDTHS)} convolutions "
            "that learned from synthetic scenes alone, the same for all networks and clients (`cryptml pretrain` makes them again)"
            f"{_SYMMETRIES_SAID[self.symmetries]}"
        )

    def apply(self, regions: FloatArray) -> FloatArray:
        """Return (batch, features) float32 for (batch, side, side) regions in [0, 1]; computed on the client."""
        standard = Standardisation(self.side).apply(regions)
        images = SYMMETRIES[self.symmetries]
        found = np.empty((len(regions), *self.shape), np.float32)
        batch = _BATCH // images
        for start in range(0, len(regions), batch):
            shown = _images(standard[start : start + batch], images)
            each = features(shown.reshape(-1, 1, self.side, self.side), shipped_weights())
            averages = each.reshape(images, -1, sum(WIDTHS), CELLS**2).mean(axis=0)
            kept = averages if self.cells == CELLS else averages.mean(axis=2)
            found[start : start + batch] = kept.reshape(-1, *self.shape)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the front end as JSON values; the weights by their digest; symmetries and cells where they are not as at first."""
        averaged: dict[str, Any] = {} if self.symmetries == "none" else {"symmetries": self.symmetries}
        averaged |= {} if self.cells == CELLS else {"cells": self.cells}
        return {"kind": self.kind, "side": self.side, "weights": weights_digest(), **averaged}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Deep:
        """Read what `to_json` wrote; the caller has checked it against the schema.

        Raises:
            NetworkError: If it was written with other weights than this package has.
        """
        if data["weights"] != weights_digest():
            raise NetworkError(
                f"the network's deep front end has the weights {data['weights'][:12]}..., this package has {weights_digest()[:12]}...; "
                "use the version of CRYPTML that the network was trained with"
            )
        return Deep(data["side"], data.get("symmetries", "none"), data.get("cells", CELLS))


_SYMMETRIES_SAID = {
    "none": "",
    "mirror": ", averaged over the region and its mirror image",
    "square": ", averaged over the region's eight turns and mirror images",
}


def _images(pictures: FloatArray, count: int) -> FloatArray:
    """Return (count, batch, 1, side, side): the first 1, 2 or 8 of the turns and mirror images of a square."""
    mirrored = [pictures, pictures[..., ::-1]]
    if count > len(mirrored):
        mirrored += [each[..., ::-1, :] for each in mirrored]
        mirrored += [each.swapaxes(-1, -2) for each in mirrored]
    return np.stack(mirrored[:count])


Weights = Mapping[str, FloatArray]
"""``weight0`` (maps, maps before, kernel, kernel) and ``bias0`` (maps,) of the first convolution and so on, batch normalisation folded in;
``mean`` and ``deviation`` (features,) of the averages over scenes. All float32."""


def features(pictures: FloatArray, weights: Weights) -> FloatArray:
    """Return (batch, features) float32, of mean 0 and deviation 1 over scenes, for (batch, 1, side, side) standardised pictures."""
    maps, averages = pictures, []
    for number, kernel in enumerate(KERNELS):
        if number:
            maps = _halve(maps)
        maps = _convolve(maps, weights[f"weight{number}"], weights[f"bias{number}"], kernel)
        maps = np.maximum(maps, 0)
        averages.append(_cell_means(maps).reshape(len(maps), -1))
    found: FloatArray = (np.concatenate(averages, axis=1) - weights["mean"]) / weights["deviation"]
    return found.astype(np.float32)


def _convolve(maps: FloatArray, weight: FloatArray, bias: FloatArray, kernel: int) -> FloatArray:
    edge = kernel // 2
    padded = np.pad(maps, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    windows = sliding_window_view(padded, (kernel, kernel), axis=(2, 3))  # type: ignore[call-overload]
    found: FloatArray = np.tensordot(windows, weight, axes=([1, 4, 5], [1, 2, 3])) + bias
    return np.moveaxis(found, -1, 1)


def _halve(maps: FloatArray) -> FloatArray:
    """Average windows of two rows and two columns; an odd last one is left out."""
    rows, columns = maps.shape[2] // 2 * 2, maps.shape[3] // 2 * 2
    even = maps[:, :, :rows, :columns]
    halved: FloatArray = (
        even[:, :, ::2, ::2] + even[:, :, 1::2, ::2] + even[:, :, ::2, 1::2] + even[:, :, 1::2, 1::2]
    ) / 4
    return halved


def _cell_means(maps: FloatArray) -> FloatArray:
    """Return (batch, maps, CELLS, CELLS) means."""
    spans = [
        slice(math.floor(i * maps.shape[2] / CELLS), math.ceil((i + 1) * maps.shape[2] / CELLS)) for i in range(CELLS)
    ]
    return np.stack(
        [np.stack([maps[:, :, rows, columns].mean(axis=(2, 3)) for columns in spans], axis=-1) for rows in spans],
        axis=-2,
    )


@lru_cache(maxsize=1)
def _shipped_bytes() -> bytes:
    return files("cryptml.networks.front_ends").joinpath(WEIGHTS_FILE).read_bytes()


@lru_cache(maxsize=1)
def weights_digest() -> str:
    """Return the SHA-256 of the package's weights, hexadecimal."""
    return hashlib.sha256(_shipped_bytes()).hexdigest()


@lru_cache(maxsize=1)
def shipped_weights() -> Weights:
    """Return the weights that are a part of the package."""
    return load(_shipped_bytes())
