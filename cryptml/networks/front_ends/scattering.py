"""The wavelet scattering transform: texture and shape in a few hundred numbers, by filters that nobody trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cryptml.errors import NetworkError
from cryptml.networks.boundary import FloatArray
from cryptml.networks.front_ends.standardisation import Standardisation
from cryptml.networks.front_ends.wavelets import ENVELOPE, ROUND_AT, modulus_averages

MOST_MAP_PIXELS = 1 << 26
"""Of all maps of one region, margins included: a bundle from elsewhere can ask a client for a few seconds a region, not for minutes."""

REACH = 2.5
"""Deviations of the longest envelope that are added at each edge."""

FLOOR = 1e-3
"""Added to every average before its logarithm; standardised regions have deviation 1."""

LEVELS = (0.06, 0.006)
"""The averages of first and second order that become 0: near the geometric means for mammograms, ultrasound and the synthetic phantoms
(0.05 to 0.08 and 0.0045 to 0.0065), so that a signed grid is used evenly."""

Maps = NDArray[Any]


@dataclass(frozen=True)
class Scattering:
    """Averages of wavelet moduli of one and two octaves, on a logarithmic scale.

    Mallat, "Group invariant scattering", 2012; Bruna and Mallat, "Invariant scattering convolution networks", 2013. With the
    wavelets W(j, t) of octave j and direction t, and means A over the cells of a grid, it gives

    - first order: ``log(A|x * W(j, t)| / level)`` for every octave and direction,
    - second order: ``log(A||x * W(j, t)| * W(k, u)| / level)`` for every pair of octaves k > j and of directions.

    With ``harmonics`` it gives their Fourier components along the directions up to that order and their cosine components along the
    cells, which are fewer and hardly correlated: each divided by the root of the number of values summed, so that the first is a mean,
    and multiplied by 1 + the sum of its orders, because textures have less of higher orders.

    Attributes:
        side: Rows and columns of the region that it takes, in pixels.
        octaves: Scales, each twice as coarse as the one before; the coarsest wavelets span about 3 * 2^octaves pixels.
        directions: Of the wavelets, evenly over half a turn.
        cells: The region is averaged over cells x cells parts.
        harmonics: Highest Fourier order along the directions, below half their number; None keeps the directions themselves.
        turned: Whether averages are taken, on the logarithmic scale, over all directions that a turn or a mirror image exchanges: the
            first order then keeps its octave alone, the second the angle between its directions, 0 to half a turn. With one cell
            and without harmonics.
    """

    side: int
    octaves: int = 3
    directions: int = 8
    cells: int = 1
    harmonics: int | None = None
    turned: bool = False
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
        if self.harmonics is not None and not 0 <= 2 * self.harmonics < self.directions:
            raise NetworkError(
                f"scattering with {self.harmonics} harmonics of {self.directions} directions; harmonics lie in "
                f"[0, {(self.directions - 1) // 2}]"
            )
        if self.turned and (self.cells, self.harmonics) != (1, None):
            raise NetworkError(
                f"scattering that is averaged over turns has one cell and no harmonics, not {self.cells} and {self.harmonics}"
            )
        pixels = self.maps * self._size**2
        if pixels > MOST_MAP_PIXELS:
            raise NetworkError(
                f"scattering with side {self.side}, {self.octaves} octaves and {self.directions} directions makes maps of "
                f"{pixels} pixels in all, more than {MOST_MAP_PIXELS}; choose a smaller side, or fewer octaves or directions"
            )

    @property
    def maps(self) -> int:
        """Number of maps of both orders."""
        return _count_maps(self.octaves, self.directions)

    @property
    def margin(self) -> int:
        """Pixels added at every edge, by reflection: what the other edge shows hardly reaches over them."""
        longest = ENVELOPE * 2 ** (self.octaves - 1) * max(1.0, self.directions / ROUND_AT)
        return math.ceil(REACH * longest)

    @property
    def _size(self) -> int:
        """Side of a region with its margins, made a length that Fourier transforms are fast at."""
        from scipy.fft import next_fast_len  # here, because services and clients of other front ends need none of it

        return int(next_fast_len(self.side + 2 * self.margin))

    @property
    def shape(self) -> tuple[int]:
        """Shape of what it gives, (features,): first order, then second, each by octave, direction and cell (or their components)."""
        if self.turned:
            return (self.octaves + math.comb(self.octaves, 2) * (self.directions // 2 + 1),)
        kept = self.directions if self.harmonics is None else 2 * self.harmonics + 1
        return (_count_maps(self.octaves, kept) * self.cells**2,)

    @property
    def description(self) -> str:
        """See `FrontEnd.description`."""
        return (
            f"standardised by its own mean and deviation, then {self.shape[0]} averages of wavelet moduli on a logarithmic scale "
            f"(scattering: {self.octaves} octaves, {self.directions} directions, {self.cells} x {self.cells} cells"
            f"{'' if self.harmonics is None else f', harmonics to order {self.harmonics}'}"
            f"{', averaged over turns and mirror images' if self.turned else ''}), none of it learned"
        )

    def apply(self, regions: FloatArray) -> FloatArray:
        """Return (batch, features) float32 for (batch, side, side) regions in [0, 1]; computed on the client."""
        standard = Standardisation(self.side).apply(regions)[:, 0]
        averages = modulus_averages(self.side, self.margin, self._size, self.octaves, self.directions, self.cells)
        rows = np.empty((len(standard), self.maps * self.cells**2), np.float64)
        first = self.octaves * self.directions * self.cells**2
        for row, region in zip(rows, standard, strict=True):
            one, two = averages.of(region)
            row[:first], row[first:] = one.ravel(), two
        orders = [
            np.log((part + FLOOR) / level) for part, level in zip(np.split(rows, [first], axis=1), LEVELS, strict=True)
        ]
        if self.harmonics is not None:
            orders = [self._components(part, axes) for axes, part in enumerate(orders, start=1)]
        if self.turned:
            orders = [self._turn(*orders)]
        return np.concatenate(orders, axis=1).astype(np.float32)

    def _turn(self, first: Maps, second: Maps) -> Maps:
        """Return the averages over turns and mirror images of (batch, maps) of both orders, by octave, octave and angle."""
        count, directions = len(first), np.arange(self.directions)
        found = [first.reshape(count, self.octaves, self.directions).mean(axis=2)]
        for later in range(self.octaves - 1, 0, -1):  # octaves behind that of the first wavelet
            block, second = np.split(second, [self.directions**2 * later], axis=1)
            pairs = block.reshape(count, self.directions, later, self.directions)
            for angle in range(self.directions // 2 + 1):
                both = [pairs[:, directions, :, (directions + sign * angle) % self.directions] for sign in (1, -1)]
                found.append(
                    np.concatenate(both).mean(axis=0)
                )  # directions come first: slices lie between their indices
        return np.concatenate(found, axis=1)

    def _components(self, values: Maps, axes: int) -> Maps:
        """Return the components, flat, of (batch, ...) values of an order with that many axes of directions."""
        groups = self.octaves if axes == 1 else math.comb(self.octaves, 2)
        directions, cells = _fourier(self.directions, self.harmonics or 0), _cosines(self.cells)
        parts: Maps = values.reshape(len(values), groups, *[self.directions] * axes, self.cells, self.cells)
        weights = np.ones(())
        for axis, (basis, orders) in enumerate([directions] * axes + [cells] * 2, start=2):
            parts = np.moveaxis(np.tensordot(parts, basis, axes=([axis], [1])), -1, axis)
            weights = weights[..., None] + orders
        return (parts * weights).reshape(len(values), math.prod(parts.shape[1:]))

    def to_json(self) -> dict[str, Any]:
        """Return the front end as JSON values; ``turned`` only where it is."""
        return {
            **({"turned": True} if self.turned else {}),
            "kind": self.kind,
            "side": self.side,
            "octaves": self.octaves,
            "directions": self.directions,
            "cells": self.cells,
            "harmonics": self.harmonics,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Scattering:
        """Read what `to_json` wrote; the caller has checked it against the schema."""
        return Scattering(
            data["side"],
            data["octaves"],
            data["directions"],
            data["cells"],
            data["harmonics"],
            data.get("turned", False),
        )


def _count_maps(octaves: int, directions: int) -> int:
    return octaves * directions + math.comb(octaves, 2) * directions**2


def _fourier(length: int, highest: int) -> tuple[Maps, Maps]:
    """Return (components, length) means against cosines and sines of orders up to ``highest``, and the order of each component."""
    angles = 2 * math.pi * np.arange(length) / length
    rows, orders = [np.ones(length)], [0]
    for order in range(1, highest + 1):
        rows += [math.sqrt(2) * np.cos(order * angles), math.sqrt(2) * np.sin(order * angles)]
        orders += [order, order]
    return np.stack(rows) / length, np.array(orders, dtype=np.float64)


def _cosines(length: int) -> tuple[Maps, Maps]:
    """Return (length, length) means against the cosines of a discrete cosine transform, and the order of each."""
    from scipy.fft import dct

    basis = dct(np.eye(length), axis=0, norm="ortho") / math.sqrt(length)
    return basis, np.arange(length, dtype=np.float64)
