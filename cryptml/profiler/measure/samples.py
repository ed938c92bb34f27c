"""What to measure and verify with: inputs that no table clamps, because answers beyond that are not defined."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cryptml.networks import FloatArray, IntArray, Network
from cryptml.networks.rounding.clamping import within_bins
from cryptml.networks.textures import random_textures
from cryptml.splits import Segment

TEXTURES = 64
"""Random pictures that are tried."""


def sample_input(network: Network, segment: Segment, seed: int) -> IntArray:
    """Return (1, *shape) integers of a segment's first boundary, within every table's bins if such can be found.

    Uniform integers are tried first, then what textures become in front of the segment, then those drawn towards their mean. Whoever
    compares answers asks `within_bins` first.
    """
    values = np.zeros(0, dtype=np.int64)
    for values in _candidates(network, segment, seed):
        within = within_bins(network, values, segment)
        if within.any():
            return values[within][:1]
    return values[:1]


def sample_region(network: Network, seed: int) -> FloatArray:
    """Return a random (side, side) region in [0, 1], within every table's bins if such can be found."""
    regions = random_textures(network.front_end.side, TEXTURES, seed)
    within = within_bins(network, network.quantise(regions), Segment(0, len(network)))
    return regions[int(within.argmax())]


def _candidates(network: Network, segment: Segment, seed: int) -> Iterator[IntArray]:
    reads = network.boundaries[segment.start]
    generator = np.random.default_rng(seed)
    yield generator.integers(reads.low, reads.high, (1, *reads.shape), dtype=np.int64, endpoint=True)
    values = network.quantise(random_textures(network.front_end.side, TEXTURES, seed))
    if segment.start:
        values = network.run(values, Segment(0, segment.start))
    mean = values.mean(axis=0)
    for share in (1.0, 0.75, 0.5, 0.25, 0.0):
        yield np.rint(mean + share * (values - mean)).astype(np.int64)
