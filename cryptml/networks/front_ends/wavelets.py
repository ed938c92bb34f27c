"""The wavelets of a scattering transform, and how their moduli are averaged in few matrix products."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryptml.networks.boundary import FloatArray

ENVELOPE = 0.8
"""Deviation of a wavelet's envelope at the first octave, in pixels."""

ROUND_AT = 4
"""With so many directions a wavelet's envelope is round; with more it is longer across the wave."""

FREQUENCY = 3 * math.pi / 4
"""Centre frequency of a wavelet at the first octave, in radians a pixel."""

ALIASES = (-1, 0, 1)
"""Periods of the spectrum over which a wavelet is summed, each way; with `ROUND_AT` directions or more, those further off add less than
1e-6 of its peak."""

NEGLIGIBLE = 1e-5
"""Of a wavelet's peak in frequency: rows and columns with less are left out, which changes features by less than 1e-5."""

Filters = NDArray[np.float32]
Maps = NDArray[Any]


@lru_cache(maxsize=2)
def wavelets(size: int, octaves: int, directions: int) -> Filters:
    """Return Morlet wavelets as (octaves, directions, size, size) float32, in the frequency domain, where they are real.

    A wave under a Gaussian envelope, less as much of the envelope as makes its mean zero: in frequency a Gaussian around the wave's,
    less a share of the one around 0. The envelope is longer across the wave than along it, `ROUND_AT` / directions being the ratio, so
    that few directions cover the circle; constants as in Bruna and Mallat 2013. A wavelet's largest value is about 1.
    """
    frequencies = 2 * math.pi * np.fft.fftfreq(size)
    rows, columns = np.meshgrid(frequencies, frequencies, indexing="ij")
    found = np.empty((octaves, directions, size, size), np.float32)
    for octave in range(octaves):
        for direction in range(directions):
            found[octave, direction] = _morlet(rows, columns, octave, math.pi * direction / directions, directions)
    found.flags.writeable = False
    return found


def _morlet(rows: Maps, columns: Maps, octave: int, angle: float, directions: int) -> Maps:
    """Return one wavelet at the frequencies (rows, columns), in radians a pixel."""
    deviation, frequency = ENVELOPE * 2**octave, FREQUENCY / 2**octave
    wave, smooth = np.zeros_like(rows), np.zeros_like(rows)
    for row, column in itertools.product(ALIASES, repeat=2):
        vertical, horizontal = rows + 2 * math.pi * row, columns + 2 * math.pi * column
        along = horizontal * math.cos(angle) + vertical * math.sin(angle)
        across = (vertical * math.cos(angle) - horizontal * math.sin(angle)) * directions / ROUND_AT
        wave += np.exp(-(deviation**2) / 2 * ((along - frequency) ** 2 + across**2))
        smooth += np.exp(-(deviation**2) / 2 * (along**2 + across**2))
    return wave - smooth * (wave[0, 0] / smooth[0, 0])


@dataclass(frozen=True, eq=False)
class _Wavelet:
    """One wavelet where it does not vanish, and the inverse Fourier transform from there to the region's pixels.

    Attributes:
        octave: Its scale.
        direction: Its number.
        maps: How many maps it is applied to: of the octaves before, and the region itself for the coarsest.
        rows: Of frequencies, 0 in the middle.
        columns: Of floats, two a frequency.
        values: (rows, 1, columns) float32, every value twice.
        across: (2, columns, side) float32: from columns of frequencies to columns of pixels, real and imaginary parts.
        down: (2 side, 2 rows) float32: from rows of frequencies to rows of pixels, real parts above imaginary ones.
    """

    octave: int
    direction: int
    maps: int
    rows: slice
    columns: slice
    values: Filters
    across: Filters
    down: Filters


@dataclass(frozen=True, eq=False)
class ModulusAverages:
    """Averages of wavelet moduli of one and two octaves over the cells of a region.

    Maps that a second wavelet goes over are made by Fourier transforms, over the margins too; those that are only averaged, by two
    matrix products, at the pixels of the region alone, from the frequencies where the wavelet does not vanish.

    Attributes:
        side: Rows and columns of a region.
        margin: Pixels of reflection above and to the left of it.
        size: Rows and columns with margins.
        octaves: Scales.
        directions: Of the wavelets.
        cells: The region is averaged over cells x cells parts.
        bank: (size, maps, size) complex64: wavelets whose maps are made whole, by octave and direction.
        others: Those that are only averaged.
        cell_means: (cells, side) float32: means over rows.
    """

    side: int
    margin: int
    size: int
    octaves: int
    directions: int
    cells: int
    bank: Maps
    others: tuple[_Wavelet, ...]
    cell_means: Filters

    def of(self, region: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return first order (octaves, directions, cells, cells) and second, flat, both float32.

        The second is by octave and direction of the first wavelet, octave and direction of the second, and cell.

        Args:
            region: (side, side) float32.
        """
        inside, directions = slice(self.margin, self.margin + self.side), self.directions
        maps = self._whole_maps(region)
        first = np.empty((self.octaves, directions, self.cells, self.cells), np.float32)
        whole = self._means(maps[inside, :-1, inside])
        first[:-1] = whole.reshape(self.octaves - 1, directions, self.cells, self.cells)
        shapes = [(directions, later, directions, self.cells, self.cells) for later in range(self.octaves - 1, 0, -1)]
        second = [np.empty(shape, np.float32) for shape in shapes]
        for wavelet, means in self._second(maps):
            for octave in range(wavelet.octave):
                found = means[octave * directions : (octave + 1) * directions]
                second[octave][:, wavelet.octave - octave - 1, wavelet.direction] = found
            if wavelet.octave == self.octaves - 1:
                first[-1, wavelet.direction] = means[-1]
        return first, np.concatenate([np.empty(0, np.float32), *(each.ravel() for each in second)])

    def _whole_maps(self, region: FloatArray) -> Maps:
        """Return (size, maps, size) float32: moduli over region and margins, and behind them the region itself."""
        from scipy.fft import fft2, ifft2

        padded = np.pad(region, (self.margin, self.size - self.side - self.margin), mode="reflect")
        maps = np.empty((self.size, self.bank.shape[1] + 1, self.size), np.float32)
        maps[:, -1] = padded
        waves = ifft2(fft2(padded)[:, None] * self.bank, axes=(0, 2), overwrite_x=True)
        parts = waves.view(np.float32)
        parts *= parts
        moduli = maps[:, :-1]
        np.add(parts[..., ::2], parts[..., 1::2], out=moduli)
        np.sqrt(moduli, out=moduli)
        return maps

    def _second(self, maps: Maps) -> Iterator[tuple[_Wavelet, Maps]]:
        """Yield each of the other wavelets with (maps, cells, cells) averages of its moduli; buffers stay in the processor's cache."""
        spectra = _centred_spectra(maps).view(np.float32)
        sizes = [(each.values.size * each.maps, each.down.shape[1] * each.maps * self.side) for each in self.others]
        products = np.empty(max(size for size, _ in sizes), np.float32)
        halves = np.empty(max(size for _, size in sizes), np.float32)
        waves = np.empty(2 * self.side**2 * max(each.maps for each in self.others), np.float32)
        for each in self.others:
            rows, columns = len(each.values), each.values.shape[2]
            product = products[: rows * each.maps * columns].reshape(rows, each.maps, columns)
            half = halves[: 2 * rows * each.maps * self.side].reshape(2, rows * each.maps, self.side)
            wave = waves[: 2 * self.side**2 * each.maps].reshape(2 * self.side, each.maps * self.side)
            np.multiply(spectra[each.rows, : each.maps, each.columns], each.values, out=product)
            np.matmul(product.reshape(rows * each.maps, columns), each.across, out=half)
            np.matmul(each.down, half.reshape(2 * rows, each.maps * self.side), out=wave)
            np.multiply(wave, wave, out=wave)
            modulus = wave[: self.side]
            modulus += wave[self.side :]
            np.sqrt(modulus, out=modulus)
            yield each, self._means(modulus.reshape(self.side, each.maps, self.side))

    def _means(self, maps: Maps) -> Maps:
        """Return (maps, cells, cells) means of (side, maps, side)."""
        over_rows = self.cell_means @ maps.reshape(self.side, -1)
        found: Maps = over_rows.reshape(self.cells, maps.shape[1], self.side) @ self.cell_means.T
        return found.transpose(1, 0, 2)


def _centred_spectra(maps: Maps) -> Maps:
    """Return the two-dimensional Fourier transforms (size, maps, size) complex64 of real maps, with frequency 0 in the middle.

    A real map's transform at opposite frequencies is conjugate, so half of it is computed.
    """
    from scipy.fft import rfft2

    size, middle = len(maps), len(maps) // 2
    half = rfft2(maps, axes=(0, 2))
    found = np.empty(maps.shape, np.complex64)
    found[middle:, :, middle:] = half[: size - middle, :, : size - middle]
    found[:middle, :, middle:] = half[size - middle :, :, : size - middle]
    np.conj(half[middle::-1, :, middle:0:-1], out=found[: middle + 1, :, :middle])
    np.conj(half[:middle:-1, :, middle:0:-1], out=found[middle + 1 :, :, :middle])
    return found


@lru_cache(maxsize=2)
def modulus_averages(side: int, margin: int, size: int, octaves: int, directions: int, cells: int) -> ModulusAverages:
    """Return what averages the moduli of regions of one shape; see the attributes of `ModulusAverages`."""
    bank = wavelets(size, octaves, directions)
    whole = bank[:-1].reshape(-1, size, size).transpose(1, 0, 2).astype(np.complex64)
    angles = 2 * math.pi / size * np.outer(np.arange(size) - size // 2, np.arange(margin, margin + side))
    others = []
    for octave in range(octaves):
        maps = octave * directions + (octave == octaves - 1)
        for direction in range(directions if maps else 0):
            centred = np.fft.fftshift(bank[octave, direction])
            others.append(_inverted(centred, angles, octave, direction, maps))
    ends = np.rint(np.linspace(0, side, cells + 1)).astype(int)
    means = np.zeros((cells, side), np.float32)
    for cell, (start, stop) in enumerate(itertools.pairwise(ends)):
        means[cell, start:stop] = 1 / (stop - start)
    return ModulusAverages(
        side, margin, size, octaves, directions, cells, np.ascontiguousarray(whole), tuple(others), means
    )


def _inverted(centred: Filters, angles: Maps, octave: int, direction: int, maps: int) -> _Wavelet:
    """Return a wavelet with its inverse transform.

    Args:
        centred: (size, size), with frequency 0 in the middle.
        angles: (size, side), of every frequency at every pixel, in radians.
        octave: See `_Wavelet`.
        direction: See there.
        maps: See there.
    """
    counts = np.abs(centred) > NEGLIGIBLE * np.abs(centred).max()
    rows, columns = _span(counts.any(axis=1)), _span(counts.any(axis=0))
    cosines, sines = np.cos(angles), np.sin(angles)
    across = np.stack(
        [
            np.stack([real, imaginary], axis=1).reshape(-1, angles.shape[1])
            for real, imaginary in ((cosines[columns], -sines[columns]), (sines[columns], cosines[columns]))
        ]
    )
    down = np.block([[cosines[rows].T, -sines[rows].T], [sines[rows].T, cosines[rows].T]])
    values = np.repeat(centred[rows, columns] / centred.size, 2, axis=1)[:, None]
    floats = slice(2 * columns.start, 2 * columns.stop)
    matrices = [each.astype(np.float32) for each in (values, across, down)]
    return _Wavelet(octave, direction, maps, rows, floats, *matrices)


def _span(flags: NDArray[np.bool_]) -> slice:
    """Return from the first to behind the last that is true."""
    places = np.flatnonzero(flags)
    return slice(int(places[0]), int(places[-1]) + 1)
