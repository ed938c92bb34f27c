"""The wavelet scattering transform: texture and shape in a few hundred numbers, by filters that nobody trained."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cryptml.errors import NetworkError
from cryptml.networks.boundary import FloatArray
from cryptml.networks.front_ends.standardisation import Standardisation

ENVELOPE = 0.8
"""Deviation of a wavelet's envelope at the first octave, in pixels."""

FREQUENCY = 3 * math.pi / 4
"""Centre frequency of a wavelet at the first octave, in radians a pixel."""

MOST_MAP_PIXELS = 1 << 28
"""Of all maps of one region: a bundle from elsewhere cannot keep a client busy for longer than some 20 seconds."""

COPIES = 2
"""Filters are summed over so many periods on each side, so that they close around the picture's edge."""

FLOOR = 1e-3
"""Added to every average before its logarithm; standardised regions have deviation 1."""

LEVEL = 1e-2
"""The average that becomes 0: about the geometric mean over both orders for pictures of tissue, so that a signed grid is used evenly."""

Filters = NDArray[np.float64]
Maps = NDArray[np.float64]


@dataclass(frozen=True)
class Scattering:
    """Averages of wavelet moduli of one and two octaves, on a logarithmic scale.

    Mallat, "Group invariant scattering", 2012; Bruna and Mallat, "Invariant scattering convolution networks", 2013. With the
    wavelets W(j, t) of octave j and direction t, and means A over the cells of a grid, it gives

    - first order: ``log(A|x * W(j, t)| / level)`` for every octave and direction,
    - second order: ``log(A||x * W(j, t)| * W(k, u)| / level)`` for every pair of octaves k > j and of directions.

    Attributes:
        side: Rows and columns of the region that it takes, in pixels.
        octaves: Scales, each twice as coarse as the one before; the coarsest wavelets span about 3 * 2^octaves pixels.
        directions: Of the wavelets, evenly over half a turn.
        cells: The region is averaged over cells x cells parts.
    """

    side: int
    octaves: int = 3
    directions: int = 8
    cells: int = 1
    kind: ClassVar[str] = "scattering"

    def __post_init__(self) -> None:
        if not (
            8 <= self.side <= 512
            and 1 <= self.octaves <= 6
            and 1 <= self.directions <= 16
            and 1 <= self.cells <= 8
            and self.side > 1 << self.octaves
        ):
            raise NetworkError(
                f"scattering with side {self.side}, {self.octaves} octaves, {self.directions} directions and {self.cells} "
                "cells; side lies in [8, 512] and exceeds 2^octaves, octaves lie in [1, 6], directions in [1, 16], "
                "cells in [1, 8]"
            )
        pixels = self.maps * (self.side + 2 * self.margin) ** 2
        if pixels > MOST_MAP_PIXELS:
            raise NetworkError(
                f"scattering with side {self.side}, {self.octaves} octaves and {self.directions} directions makes maps of "
                f"{pixels} pixels in all, more than {MOST_MAP_PIXELS}; choose a smaller side, or fewer octaves or directions"
            )

    @property
    def maps(self) -> int:
        """Number of maps of both orders."""
        pairs = self.octaves * (self.octaves - 1) // 2
        return self.octaves * self.directions + pairs * self.directions**2

    @property
    def margin(self) -> int:
        """Pixels added at every edge, by reflection, so that the edge does not show."""
        return 1 << self.octaves

    @property
    def shape(self) -> tuple[int]:
        """Shape of what it gives, (features,): first order, then second, each by octave, direction and cell."""
        return (self.maps * self.cells**2,)

    @property
    def description(self) -> str:
        """See `FrontEnd.description`."""
        return (
            f"standardised by its own mean and deviation, then {self.shape[0]} averages of wavelet moduli on a logarithmic scale "
            f"(scattering: {self.octaves} octaves, {self.directions} directions, {self.cells} x {self.cells} cells), none of it learned"
        )

    def apply(self, regions: FloatArray) -> FloatArray:
        """Return (batch, features) float32 for (batch, side, side) regions in [0, 1]; computed on the client."""
        standard = Standardisation(self.side).apply(regions)[:, 0].astype(np.float64)
        filters = wavelets(self.side + 2 * self.margin, self.octaves, self.directions)
        rows = [np.concatenate(list(self._orders(region, filters))) for region in standard]
        return np.log((np.stack(rows) + FLOOR) / LEVEL).astype(np.float32)

    def _orders(self, region: Maps, filters: Filters) -> Iterator[Maps]:
        """Yield averages, flat: those of the first order, then of the second, by octave, direction, octave, direction."""
        spectrum = np.fft.fft2(np.pad(region, self.margin, mode="reflect"))
        first = [np.abs(np.fft.ifft2(spectrum * bank)) for bank in filters]  # each (directions, size, size)
        yield from (self._means(maps) for maps in first)
        for octave, maps in enumerate(first):
            for spectrum in map(np.fft.fft2, maps):
                yield from (self._means(np.abs(np.fft.ifft2(spectrum * bank))) for bank in filters[octave + 1 :])

    def _means(self, maps: Maps) -> Maps:
        """Return the mean of every map over each cell of the region, flat."""
        inner = maps[..., self.margin : -self.margin, self.margin : -self.margin]
        ends = np.rint(np.linspace(0, self.side, self.cells + 1)).astype(int)
        cells = [
            inner[..., top:bottom, left:right].mean(axis=(-2, -1))
            for top, bottom in itertools.pairwise(ends)
            for left, right in itertools.pairwise(ends)
        ]
        return np.stack(cells, axis=-1).ravel()

    def to_json(self) -> dict[str, Any]:
        """Return the front end as JSON values."""
        return {
            "kind": self.kind,
            "side": self.side,
            "octaves": self.octaves,
            "directions": self.directions,
            "cells": self.cells,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Scattering:
        """Read what `to_json` wrote; the caller has checked it against the schema."""
        return Scattering(data["side"], data["octaves"], data["directions"], data["cells"])


@lru_cache(maxsize=4)
def wavelets(size: int, octaves: int, directions: int) -> Filters:
    """Return Morlet wavelets as (octaves, directions, size, size) float64, in the frequency domain, where they are real.

    A wave under a Gaussian envelope, less as much of the envelope as makes its mean zero. The envelope is longer across the wave
    than along it (``4 / directions`` is the ratio), so that few directions cover the circle; constants as in Bruna and Mallat 2013.
    """
    place = np.fft.fftfreq(size) * size
    rows, columns = np.meshgrid(place, place, indexing="ij")
    periods = np.arange(-COPIES, COPIES + 1) * size
    rows = rows[None, None] + periods[:, None, None, None]
    columns = columns[None, None] + periods[None, :, None, None]
    found = np.empty((octaves, directions, size, size))
    for octave in range(octaves):
        deviation, frequency = ENVELOPE * 2**octave, FREQUENCY / 2**octave
        for direction in range(directions):
            angle = math.pi * direction / directions
            along = columns * math.cos(angle) + rows * math.sin(angle)
            across = rows * math.cos(angle) - columns * math.sin(angle)
            envelope = np.exp(-(along**2 + (across * 4 / directions) ** 2) / (2 * deviation**2))
            wave = (envelope * np.exp(1j * frequency * along)).sum(axis=(0, 1))
            smooth = envelope.sum(axis=(0, 1))
            morlet = wave - smooth * (wave.sum() / smooth.sum())
            found[octave, direction] = np.fft.fft2(morlet).real / (2 * math.pi * deviation**2 * directions / 4)
    found.flags.writeable = False
    return found
