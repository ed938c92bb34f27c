"""What a scattering transform costs, beside the same transform by one Fourier transform a map, in turn.

    python -m benchmarks.scattering [--pictures 64] [--rounds 5] [--dataset breastmnist:PATH]

The slower one is how the package computed it until November 2026. Seconds are those of the processor, least of all rounds, because
other programs share the machine. Without a data set, pictures are noise that was made smooth.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft2, ifft2

from benchmarks.machine import heading
from cryptml.datasets import load_dataset
from cryptml.networks import FloatArray, Scattering, Standardisation
from cryptml.networks.front_ends.scattering import FLOOR, LEVELS
from cryptml.networks.front_ends.wavelets import Filters, wavelets
from cryptml.networks.storage import load_network

FRONT_ENDS = (Scattering(28, 3, 8, 2, 2), Scattering(32, 3, 8, 2, 2))
"""That of the network `scatter`, and the same for larger regions."""


def direct(front_end: Scattering, regions: FloatArray) -> FloatArray:
    """Return (batch, features) float32 as `Scattering.apply` does, by whole maps of every wavelet."""
    standard = Standardisation(front_end.side).apply(regions)[:, 0]
    filters = wavelets(front_end._size, front_end.octaves, front_end.directions)
    rows = np.stack([np.concatenate(list(_orders(front_end, region, filters))) for region in standard])
    first = front_end.octaves * front_end.directions * front_end.cells**2
    split = np.split(rows.astype(np.float64), [first], axis=1)
    orders = [np.log((part + FLOOR) / level) for part, level in zip(split, LEVELS, strict=True)]
    if front_end.harmonics is not None:
        orders = [front_end._components(part, axes) for axes, part in enumerate(orders, start=1)]
    return np.concatenate(orders, axis=1).astype(np.float32)


def _orders(front_end: Scattering, region: NDArray[Any], filters: Filters) -> Iterator[NDArray[Any]]:
    """Yield averages, flat: those of the first order, then of the second, by octave, direction, octave, direction."""
    margins = (front_end.margin, front_end._size - front_end.side - front_end.margin)
    spectrum = fft2(np.pad(region, margins, mode="reflect"))
    first = [np.abs(ifft2(spectrum * bank)) for bank in filters]  # each (directions, size, size)
    yield from (_means(front_end, maps) for maps in first)
    for octave, maps in enumerate(first[:-1]):
        for each in fft2(maps):
            yield from (_means(front_end, np.abs(ifft2(each * bank))) for bank in filters[octave + 1 :])


def _means(front_end: Scattering, maps: NDArray[Any]) -> NDArray[Any]:
    """Return the mean of every map over each cell of the region, flat."""
    inside = slice(front_end.margin, front_end.margin + front_end.side)
    inner = maps[..., inside, inside]
    ends = np.rint(np.linspace(0, front_end.side, front_end.cells + 1)).astype(int)
    cells = [
        inner[..., top:bottom, left:right].mean(axis=(-2, -1))
        for top, bottom in itertools.pairwise(ends)
        for left, right in itertools.pairwise(ends)
    ]
    return np.stack(cells, axis=-1).ravel()


def smooth_noise(count: int, side: int, seed: int = 0) -> FloatArray:
    """Return (count, side, side) float32 in [0, 1] whose spectrum falls with the frequency, as that of pictures does."""
    spectrum = np.fft.fftn(np.random.default_rng(seed).normal(size=(count, side, side)), axes=(1, 2))
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    found = np.fft.ifftn(spectrum / np.maximum(radius, 1 / side), axes=(1, 2)).real
    low, high = found.min(axis=(1, 2), keepdims=True), found.max(axis=(1, 2), keepdims=True)
    pictures: FloatArray = ((found - low) / (high - low)).astype(np.float32)
    return pictures


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(front_end: Scattering, pictures: FloatArray, rounds: int) -> tuple[float, float]:
    """Return the least seconds that both take for all pictures, the direct one first; each is run once before."""
    ways: tuple[Callable[[], object], ...] = (
        lambda: direct(front_end, pictures),
        lambda: front_end.apply(pictures),
    )
    for way in ways:
        way()
    least = [math.inf, math.inf]
    for _ in range(rounds):
        for number, way in enumerate(ways):
            least[number] = min(least[number], _seconds(way))
    return least[0], least[1]


def main() -> None:
    """Print both times, their ratio, the largest difference, and how many quantised inputs differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dataset")
    given = parser.parse_args()
    print(heading())
    grid = load_network("scatter").boundaries[0]
    for front_end in FRONT_ENDS:
        pictures = smooth_noise(given.pictures, front_end.side)
        if given.dataset:
            pictures = load_dataset(given.dataset, front_end.side).images
        slow, fast = compare(front_end, pictures[: given.pictures], given.rounds)
        before, after = direct(front_end, pictures), front_end.apply(pictures)
        differing = np.mean(grid.quantise(before) != grid.quantise(after))
        print(
            f"{front_end.side} x {front_end.side}: {1e3 * slow / given.pictures:.2f} ms a picture directly, "
            f"{1e3 * fast / given.pictures:.2f} ms now, ratio {slow / fast:.2f}; features differ by "
            f"{np.abs(after - before).max():.1e} at most, {differing:.3%} of {before.size} quantised inputs"
        )


if __name__ == "__main__":
    main()
