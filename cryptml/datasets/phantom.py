"""Synthetic regions of mammograms: a random texture like that of breast tissue, with and without a lesion.

Mammograms' power spectra fall as 1/f^beta with beta about 3, and whether a mass is seen depends on that fall: Burgess,
Jacobson and Judy, "Human observer detection experiments with mammograms and power-law noise", Medical Physics 28(4),
2001. Nothing here is of a person, so the set may be used and passed on freely.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryptml.datasets.base import Dataset
from cryptml.datasets.subsets import assign_subsets
from cryptml.errors import DatasetError

FORM = "phantom[:images=400,seed=0,contrast=0.25]"
"""How the specification is written; every option may be left out."""

CLASSES = ("background", "lesion")
BETA = 3.0
"""Exponent of the power spectrum 1/f^beta, f in cycles a pixel."""

_MEAN, _DEVIATION = 0.4, 0.11
"""Grey level of the background, and its standard deviation."""

_LABELS = (1, 0, 0, 0, 1, 1, 0, 1)
"""Labels of four patients, repeated: one lesion, none, two, one."""

_MAX_VALUES = 2**28
"""Most pixels of a whole set (1 GiB)."""


@dataclass(frozen=True)
class PhantomSettings:
    """How many pictures to make, and how hard their lesions are to see.

    Attributes:
        images: Number of pictures, 2 to 100000; two for each patient.
        seed: 0 to 2^32 - 1. Picture i depends on the seed and on i alone.
        contrast: Grey levels that a lesion adds at its centre, above 0 and up to 0.5.

    Raises:
        DatasetError: If a value is outside its bounds.
    """

    images: int = 400
    seed: int = 0
    contrast: float = 0.25

    def __post_init__(self) -> None:
        if not 2 <= self.images <= 100_000:
            raise DatasetError(f"the phantom cannot have images={self.images}; choose 2 to 100000")
        if not 0 <= self.seed < 2**32:
            raise DatasetError(f"the phantom cannot have seed={self.seed}; choose 0 to {2**32 - 1}")
        if not 0 < self.contrast <= 0.5:
            raise DatasetError(f"the phantom cannot have contrast={self.contrast}; choose above 0 and up to 0.5")

    @classmethod
    def parse(cls, text: str) -> PhantomSettings:
        """Read ``"images=400,seed=1,contrast=0.25"``; options may be left out.

        Raises:
            DatasetError: If an option is unknown, given twice, not a number or out of bounds.
        """
        kinds = {"images": int, "seed": int, "contrast": float}
        found: dict[str, int | float] = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            name, _, value = part.partition("=")
            if name not in kinds or name in found:
                raise DatasetError(f"the phantom's option {part!r} is unknown or given twice; write {FORM}")
            try:
                found[name] = kinds[name](value)
            except ValueError as error:
                raise DatasetError(f"the phantom's option {part!r} is not a number; write {FORM}") from error
        return cls(**found)  # type: ignore[arg-type]


def load(text: str, side: int) -> Dataset:
    """Make the set that a specification's options ask for.

    Args:
        text: Options as ``PhantomSettings.parse`` reads them; empty for the defaults.
        side: Side of the pictures, in pixels.

    Returns:
        Half of the pictures of class 1 "lesion", two pictures a patient (a few more or fewer where the number is not a
        multiple of 8).

    Raises:
        DatasetError: If an option is wrong, or the set would be larger than 2^28 pixels.
    """
    settings = PhantomSettings.parse(text)
    if settings.images * side * side > _MAX_VALUES:
        raise DatasetError(
            f"{settings.images} phantoms of {side} x {side} pixels are more than {_MAX_VALUES} values; "
            f"choose at most images={_MAX_VALUES // (side * side)}"
        )
    labels = np.array([_LABELS[i % len(_LABELS)] for i in range(settings.images)], np.int64)
    images = np.stack([_region(settings, i, side, bool(label)) for i, label in enumerate(labels)])
    patients = tuple(f"phantom-{settings.seed}-{i // 2:05d}" for i in range(settings.images))
    return Dataset("phantom", images, labels, patients, CLASSES, assign_subsets(patients))


def background(random: np.random.Generator, side: int, beta: float = BETA) -> npt.NDArray[np.float64]:
    """A Gaussian random field with the power spectrum 1/f^beta.

    White noise is filtered by f^(-beta/2) on a grid of twice the side, of which one corner is kept, so that opposite
    edges do not continue each other as they would in the whole, periodic field.

    Returns:
        float64 (side, side); the whole field, not the corner, has mean 0 and standard deviation 1.
    """
    size = 2 * side
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(random.standard_normal((size, size))) * frequency ** (-beta / 2)
    field: npt.NDArray[np.float64] = np.fft.irfft2(spectrum, s=(size, size))
    corner: npt.NDArray[np.float64] = field[:side, :side] / field.std()
    return corner


def lesion(random: np.random.Generator, side: int) -> npt.NDArray[np.float64]:
    """One mass: a disc with a soft edge, a Gaussian blob, or a disc with short spicules, each as likely.

    Its radius is 8 to 18 % of the side, and it lies whole inside the picture.

    Returns:
        float64 (side, side) in [0, 1], 1 at the centre of the mass.
    """
    radius = side * random.uniform(0.08, 0.18)
    row, column = side * random.uniform(0.3, 0.7, 2)
    rows, columns = np.mgrid[:side, :side] + 0.5
    distance = np.hypot(rows - row, columns - column)
    shape = random.integers(3)
    if shape == 1:
        blob: npt.NDArray[np.float64] = np.exp(-0.5 * (distance / (0.6 * radius)) ** 2)
        return blob
    reach = np.full_like(distance, radius)
    if shape == 2:
        angle = np.arctan2(rows - row, columns - column)
        spicules, turn = random.integers(5, 10), random.uniform(0, 2 * math.pi)
        reach *= 0.85 + 0.4 * np.maximum(0, np.cos(spicules * angle + turn)) ** 4
    edge = max(0.5, 0.2 * radius)
    mass: npt.NDArray[np.float64] = 0.5 - 0.5 * np.tanh((distance - reach) / edge)
    return mass


def _region(settings: PhantomSettings, number: int, side: int, has_lesion: bool) -> npt.NDArray[np.float32]:
    """Picture ``number`` of a set: float32 (side, side) in [0, 1]."""
    random = np.random.default_rng([settings.seed, number])
    grey = _MEAN + _DEVIATION * background(random, side)
    if has_lesion:
        grey += settings.contrast * lesion(random, side)
    return np.clip(grey, 0, 1).astype(np.float32)
