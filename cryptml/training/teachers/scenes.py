"""Synthetic pictures with known properties: a texture, and a mass in it that is darker or brighter.

They are what a deep front end learns to see from. Nothing in them is of a person or of any data set, so what is learned from them can be
handed out. Textures as in `cryptml.datasets.phantom`; speckle and shadows are those of ultrasound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float32]

PROPERTIES = (
    "contrast",
    "row",
    "column",
    "radius",
    "flatness",
    "tilt_cosine",
    "tilt_sine",
    "softness",
    "lobes",
    "spicules",
    "shadow",
    "roughness",
    "speckle",
    "layers",
    "stretch",
)
"""What is known of every scene, each about uniform in [-1, 1]."""

OF_MASS = slice(1, 11)
"""Those that only a visible mass has."""


@dataclass(frozen=True, eq=False)
class Scenes:
    """Pictures and their properties.

    Attributes:
        pictures: (n, side, side) float32 in [0, 1].
        properties: (n, len(PROPERTIES)) float32 in [-1, 1].
    """

    pictures: Reals
    properties: Reals


def draw_scenes(count: int, side: int, random: np.random.Generator) -> Scenes:
    """Draw scenes.

    Args:
        count: How many.
        side: Rows and columns, in pixels.
        random: Source of everything.
    """
    properties = random.uniform(-1, 1, (count, len(PROPERTIES)))
    tilt = random.uniform(0, np.pi, count)
    properties[:, 5], properties[:, 6] = np.cos(2 * tilt), np.sin(2 * tilt)
    known = {name: properties[:, i, None, None] for i, name in enumerate(PROPERTIES)}
    share = {name: (value + 1) / 2 for name, value in known.items()}

    grey = _textures(2.2 + 1.8 * share["roughness"], 1 + 2 * share["stretch"], side, random)
    rows = (np.arange(side)[None, :, None] + 0.5) / side
    columns = (np.arange(side)[None, None, :] + 0.5) / side
    waves = np.sin(2 * np.pi * (rows * random.uniform(1, 4, (count, 1, 1)) + random.uniform(0, 1, (count, 1, 1))))
    grey += 0.8 * share["layers"] * waves

    mass, below = _masses(known, share, tilt[:, None, None], rows, columns, random)
    grey += 4 * known["contrast"] * mass
    grey += 2 * known["shadow"] * np.abs(known["contrast"]) * below
    grey = 0.5 + 0.12 * grey
    grain = random.standard_normal((count, side, side))
    grey *= 1 + 0.12 * share["speckle"] * grain
    return Scenes(np.clip(grey, 0, 1).astype(np.float32), properties.astype(np.float32))


def _textures(
    exponent: NDArray[np.float64], stretch: NDArray[np.float64], side: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Return (n, side, side) corners of random fields of deviation 1 whose power falls as 1/f^exponent, stretched along the rows."""
    size = 2 * side
    frequency = np.hypot(np.fft.fftfreq(size)[None, :, None], stretch * np.fft.rfftfreq(size)[None, None, :])
    frequency[:, 0, 0] = np.inf
    white = random.standard_normal((len(exponent), size, size))
    fields = np.fft.irfft2(np.fft.rfft2(white) * frequency ** (-exponent / 2), s=(size, size))
    corners: NDArray[np.float64] = fields[:, :side, :side] / fields.std(axis=(1, 2), keepdims=True)
    return corners


def _masses(
    known: dict[str, NDArray[np.float64]],
    share: dict[str, NDArray[np.float64]],
    tilt: NDArray[np.float64],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    random: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where the masses are, and what lies below them, each (n, side, side) in [0, 1]."""
    down, right = rows - 0.5 - 0.2 * known["row"], columns - 0.5 - 0.2 * known["column"]
    radius = 0.08 + 0.24 * share["radius"]
    ratio = 1 - 0.6 * share["flatness"]
    along = down * np.sin(tilt) + right * np.cos(tilt)
    across = (right * np.sin(tilt) - down * np.cos(tilt)) / ratio
    distance, angle = np.hypot(along, across), np.arctan2(across, along)
    phase = random.uniform(0, 2 * np.pi, (2, len(tilt), 1, 1))
    lobes = random.integers(2, 6, tilt.shape)
    spikes = random.integers(6, 13, tilt.shape)
    reach = radius * (
        1
        + 0.35 * share["lobes"] * np.cos(lobes * angle + phase[0])
        + 0.6 * share["spicules"] * np.maximum(0, np.cos(spikes * angle + phase[1])) ** 3
    )
    edge = radius * (0.08 + 0.5 * share["softness"])
    mass = 0.5 - 0.5 * np.tanh((distance - reach) / edge)
    below = np.clip(down / (2 * radius), 0, 1) * (0.5 - 0.5 * np.tanh((np.abs(right) - radius) / (0.3 * radius)))
    return mass, below * (1 - mass)
