"""Spot checks: synthetic regions whose answers are known beforehand, for a client to mix among its own.

A server cannot tell one ciphertext from another. A client that asks about such a region now and then sees whether the service still
evaluates the network that the bundle was built from. The provider writes the intervals, so an answer inside them shows that the service is
*consistent with the bundle*, not that the network is right about anybody.

Each interval is an answer of the network that every client gets to see, as if it had asked for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cryptml.errors import BundleError
from cryptml.networks.boundary import Boundary, FloatArray
from cryptml.networks.extent import IntArray
from cryptml.networks.layers import run_all
from cryptml.networks.network import Network
from cryptml.networks.rounding.clamping import within_bins
from cryptml.networks.rounding.envelope import split_envelope
from cryptml.networks.rounding.noise import NoisyOperations
from cryptml.networks.textures import random_textures
from cryptml.splits import Segment, Side, Split

FILE = "spot-checks.safetensors"

MOST_CHECKS = 256
"""In one bundle."""

CANDIDATES = 8
"""Regions that are made for each that is kept: those of which the answer is most certain."""

REPEATS = 400
"""Simulated evaluations of each region, where a table rounds approximately."""

DEVIATIONS = 7.0
"""Of simulated answers, on either side of their mean, that an interval has: a Gaussian leaves it once in 4e11 answers. An interval that an
honest service left would accuse it."""


@dataclass(frozen=True, eq=False)
class SpotChecks:
    """Regions and the intervals of their answers; in the client's half of a bundle, where everybody may read them.

    Attributes:
        regions: (count, side, side) float32 in [0, 1], synthetic.
        low: (count, classes) int64: the least integers at the last boundary that an honest answer has.
        high: The largest; equal to ``low`` where nothing in the network rounds.
    """

    regions: FloatArray
    low: IntArray
    high: IntArray

    def __len__(self) -> int:
        return len(self.regions)

    def holds(self, index: int, integers: IntArray) -> bool:
        """Return whether (classes,) decrypted integers can be the answer about a region."""
        return bool(np.all((self.low[index] <= integers) & (integers <= self.high[index])))

    def pack(self) -> bytes:
        """Return the checks as safetensors."""
        return bytes(save({"regions": self.regions, "low": self.low, "high": self.high}))

    @staticmethod
    def unpack(data: bytes, side: int, last: Boundary) -> SpotChecks:
        """Read what `pack` wrote, from wherever it came.

        Args:
            data: The file.
            side: Of the regions that the bundle's front end takes.
            last: The bundle's last boundary.

        Raises:
            BundleError: If they are none for such a bundle.
        """
        try:
            tensors = load(data)
            checks = SpotChecks(tensors.pop("regions"), tensors.pop("low"), tensors.pop("high"))
        except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise BundleError("the bundle's spot checks are not readable; fetch or build it again") from error
        count = checks.regions.shape[0] if checks.regions.ndim else 0
        forms = [(each.dtype, each.shape) for each in (checks.regions, checks.low, checks.high)]
        answers = (np.dtype(np.int64), (count, *last.shape))
        if (
            tensors
            or not 1 <= count <= MOST_CHECKS
            or forms != [(np.dtype(np.float32), (count, side, side)), answers, answers]
            or not np.all((checks.regions >= 0) & (checks.regions <= 1))
            or not np.all((last.low <= checks.low) & (checks.low <= checks.high) & (checks.high <= last.high))
        ):
            raise BundleError(
                f"the bundle's spot checks are not 1 to {MOST_CHECKS} regions of {side} pixels with answers in "
                f"[{last.low}, {last.high}]; fetch or build it again"
            )
        return checks


def make_spot_checks(network: Network, split: Split, count: int, *, p_error: float, seed: int) -> SpotChecks | None:
    """Make regions that a network gives a defined answer about, and the intervals of its answers.

    Args:
        network: With all its weights, so a provider's.
        split: Who runs what: where nothing is encrypted, nothing is rounded differently either.
        count: How many, 1 to `MOST_CHECKS`.
        p_error: The largest that a segment is compiled with: it says how much noise there may be.
        seed: Of the regions and of the noise.

    Returns:
        The checks whose answers are most certain; None where the network answers about none of the regions within its range.

    Raises:
        BundleError: If that many cannot be in a bundle.
    """
    if not 1 <= count <= MOST_CHECKS:
        raise BundleError(f"{count} spot checks cannot be in a bundle; give 1 to {MOST_CHECKS}, or 0 for none")
    regions = random_textures(network.front_end.side, CANDIDATES * count, seed)
    values = network.quantise(regions)
    defined = within_bins(network, values, Segment(0, len(network)))
    regions, values = regions[defined], values[defined]
    if not len(regions):
        return None
    generator = np.random.default_rng(seed)
    possible = split_envelope(network, split, values)
    if np.array_equal(possible.low, possible.high):  # nothing rounds approximately
        low, high = possible.low, possible.high
    else:
        operations = NoisyOperations(p_error, generator)
        answers = np.stack([_run_noisily(network, split, values, operations) for _ in range(REPEATS)])
        mean, reach = answers.mean(axis=0), DEVIATIONS * answers.std(axis=0) + 1
        low = np.maximum(possible.low, np.minimum(np.floor(mean - reach), answers.min(axis=0)))
        high = np.minimum(possible.high, np.maximum(np.ceil(mean + reach), answers.max(axis=0)))
    chosen = np.sort(np.argsort((high - low).sum(axis=1), kind="stable")[:count])
    return SpotChecks(
        np.ascontiguousarray(regions[chosen], np.float32),
        np.ascontiguousarray(low[chosen], np.int64),
        np.ascontiguousarray(high[chosen], np.int64),
    )


def _run_noisily(network: Network, split: Split, values: IntArray, operations: NoisyOperations) -> IntArray:
    """Run a split as its encrypted evaluation would: the client's layers exactly, and the table too that a server segment begins with."""
    for side, segment in split.segments:
        first = segment.start
        if side is Side.CLIENT:
            values = network.run(values, segment)
            continue
        if network.entering_bins(segment) is not None:
            values = network.run(values, Segment(first, first + 1))
            first += 1
        layers = network.layers[first : segment.stop]
        if layers:
            values = run_all(layers, values, network.boundaries[first].extent(), operations)
    return values
