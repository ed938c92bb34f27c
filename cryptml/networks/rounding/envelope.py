"""What an encrypted evaluation may answer where it rounds.

Approximate rounding adds Concrete's noise to an accumulator before a table reads it. The noise exceeds half a bin with a
probability below the circuit's p_error alone, so a value is read from its own bin or from a neighbouring one. Intervals carry
that through every layer: where no table clamps (`cryptml.networks.rounding.clamping.within_bins`), answers lie in the envelope but for that
probability, and where nothing is rounded it is a single point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cryptml.errors import RangeError
from cryptml.networks.bins import Bins
from cryptml.networks.boundary import FloatArray
from cryptml.networks.extent import IntArray
from cryptml.networks.layers import propagate_all, run_all
from cryptml.networks.network import Network
from cryptml.networks.operations import NumpyOperations
from cryptml.networks.rounding.clamping import within_bins
from cryptml.splits import Segment, Side, Split

_NUMPY = NumpyOperations()


@dataclass(frozen=True, eq=False)
class Interval:
    """All tensors between two, elementwise.

    Attributes:
        low: (batch, *shape) int64.
        high: (batch, *shape) int64, nowhere below ``low``.
    """

    low: IntArray
    high: IntArray

    @property
    def shape(self) -> tuple[int, ...]:
        """Of ``low`` and of ``high``."""
        return self.low.shape

    def holds(self, values: IntArray) -> bool:
        """Return whether a tensor of this shape lies in the interval."""
        return values.shape == self.shape and bool(((self.low <= values) & (values <= self.high)).all())


def envelope(network: Network, values: IntArray, segment: Segment | None = None) -> Interval:
    """Return what a segment (all layers if None), evaluated encrypted, may give for (batch, *shape) integers."""
    segment = segment or Segment(0, len(network))
    return _through(network, segment, Interval(values, values), encrypted=True)


def split_envelope(network: Network, split: Split, values: IntArray) -> Interval:
    """Return what a client of a split may decrypt for (batch, *boundaries[0].shape) integers."""
    interval = Interval(values, values)
    for side, segment in split.require_length(len(network)).segments:
        interval = _through(network, segment, interval, encrypted=side is Side.SERVER)
    return interval


def matches_clear(network: Network, square: FloatArray, split: Split, answer: IntArray) -> bool:
    """Return whether a decrypted answer is the network's in the clear, up to what approximate rounding may change.

    Args:
        network: That was asked, in the clear.
        square: (side, side) float32 pixels in [0, 1], as they went to its front end.
        split: That the answer came by.
        answer: (classes,) int64, on the last grid.

    Raises:
        RangeError: If a table clamps the picture's values, so that there is no right answer to compare with.
    """
    values = network.quantise(square[None])
    if not within_bins(network, values, Segment(0, len(network)))[0]:
        raise RangeError(
            "the picture lies too far from what the network was calibrated for: there is no right answer to compare with"
        )
    return split_envelope(network, split, values).holds(answer[None])


def _through(network: Network, segment: Segment, interval: Interval, *, encrypted: bool) -> Interval:
    layers, extent = network.segment_layers(segment), network.boundaries[segment.start].extent()
    if not encrypted:
        return run_all(layers, interval, extent, IntervalOperations(blurred=False))
    # A table that comes first is read by the client's own, exact bins.
    exact = int(network.entering_bins(segment) is not None)
    interval = run_all(layers[:exact], interval, extent, IntervalOperations(blurred=False))
    return run_all(layers[exact:], interval, propagate_all(layers[:exact], extent), IntervalOperations(blurred=True))


@dataclass(frozen=True)
class IntervalOperations:
    """Execution on `Interval`; see `cryptml.networks.operations.Operations`.

    Attributes:
        blurred: Whether a table that drops bits may read the bins beside a value's own.
    """

    blurred: bool

    def convolve(
        self,
        x: Interval,
        weight: IntArray,
        bias: IntArray,
        *,
        stride: tuple[int, int],
        padding: tuple[int, int],
        groups: int,
        bounds: tuple[int, int],
    ) -> Interval:
        """See `Operations.convolve`."""

        def run(values: IntArray, kernel: IntArray, shift: IntArray) -> IntArray:
            return _NUMPY.convolve(values, kernel, shift, stride=stride, padding=padding, groups=groups, bounds=bounds)

        return _affine(run, x, weight, bias)

    def multiply(self, x: Interval, weight: IntArray, bias: IntArray, *, bounds: tuple[int, int]) -> Interval:
        """See `Operations.multiply`."""

        def run(values: IntArray, matrix: IntArray, shift: IntArray) -> IntArray:
            return _NUMPY.multiply(values, matrix, shift, bounds=bounds)

        return _affine(run, x, weight, bias)

    def sum_windows(
        self, x: Interval, kernel: tuple[int, int], stride: tuple[int, int], *, bounds: tuple[int, int]
    ) -> Interval:
        """See `Operations.sum_windows`."""
        low, high = (_NUMPY.sum_windows(values, kernel, stride, bounds=bounds) for values in (x.low, x.high))
        return Interval(low, high)

    def max_windows(
        self,
        x: Interval,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int],
        extent: tuple[int, int],
    ) -> Interval:
        """See `Operations.max_windows`."""
        low, high = (_NUMPY.max_windows(values, kernel, stride, padding, extent) for values in (x.low, x.high))
        return Interval(low, high)

    def arrange(self, x: Interval, shape: tuple[int, ...]) -> Interval:
        """See `Operations.arrange`."""
        return Interval(_NUMPY.arrange(x.low, shape), _NUMPY.arrange(x.high, shape))

    def look_up(self, x: Interval, tables: IntArray, bins: Bins) -> Interval:
        """See `Operations.look_up`."""
        reach = 1 if self.blurred and bins.dropped_bits else 0
        if bins.negacyclic:
            return _turned(tables, x, bins, reach)
        first = (bins.index(x.low) - reach).clip(0)
        last = (bins.index(x.high) + reach).clip(None, bins.count - 1)
        return Interval(_least(tables, first, last), -_least(-tables, first, last))

    def flatten(self, x: Interval) -> Interval:
        """See `Operations.flatten`."""
        return Interval(_NUMPY.flatten(x.low), _NUMPY.flatten(x.high))

    def add(self, x: Interval, y: Interval, *, bounds: tuple[int, int]) -> Interval:  # noqa: ARG002
        """See `Operations.add`."""
        return Interval(x.low + y.low, x.high + y.high)


def _affine(
    run: Callable[[IntArray, IntArray, IntArray], IntArray], x: Interval, weight: IntArray, bias: IntArray
) -> Interval:
    rising, falling, nothing = np.maximum(weight, 0), np.minimum(weight, 0), np.zeros_like(bias)
    low = run(x.low, rising, bias) + run(x.high, falling, nothing)
    return Interval(low, run(x.high, rising, bias) + run(x.low, falling, nothing))


def _turned(tables: IntArray, x: Interval, bins: Bins, reach: int) -> Interval:
    """Return what negacyclic bins hold from the first number that may be read to the last, which may lie several turns apart."""
    first, last = (
        values - bins.low >> bins.dropped_bits for values in (x.low - reach * bins.width, x.high + reach * bins.width)
    )
    start = first % bins.numbers
    stop = start + np.minimum(last - first, bins.numbers - 1)
    twice = np.tile(bins.whole(tables), 2)
    return Interval(_least(twice, start, stop), -_least(-twice, start, stop))


def _least(tables: IntArray, first: IntArray, last: IntArray) -> IntArray:
    """Return the least entry of the channel's table from ``first`` to ``last``, elementwise.

    Two overlapping ranges of a power of two of entries cover each range; the least of every such range is made by doubling.
    """
    rows = np.zeros((1, 1), np.int64) if len(tables) == 1 else np.arange(len(tables))[None]
    rows = rows.reshape(1, -1, *[1] * (first.ndim - 2))
    spans = last - first + 1
    result = np.empty_like(first)
    least, width = tables, 1
    while True:
        chosen = (spans >= width) & (spans < 2 * width)
        entries = np.minimum(
            least[rows, np.minimum(first, least.shape[1] - 1)],
            least[rows, np.clip(last - width + 1, 0, least.shape[1] - 1)],
        )
        result = np.where(chosen, entries, result)
        if 2 * width > int(spans.max()):
            return result
        least = np.minimum(least[:, :-width], least[:, width:])
        width *= 2
