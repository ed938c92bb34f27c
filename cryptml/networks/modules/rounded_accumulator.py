"""Training with what a table sees of an accumulator: a few bins, and Concrete's noise at their edges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryptml.errors import NetworkError
from cryptml.networks.bins import MOST_DROPPED_BITS
from cryptml.networks.extent import IntArray
from cryptml.networks.modules.blocks import value_of
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR, bin_deviation

MARGIN = 1.6
"""Width of all bins together, in widths of the range seen in training."""

MEMORY = 0.98
"""Weight of the range so far against that of the next batch, where the batch does not exceed it."""

ACTIVE_FROM = 0.5
"""Share of the training after which accumulators are rounded: before, their range is still moving."""

REACH = 2.0
"""Deviations from the mean within which accumulators are left alone by `excess`."""

MOST_STEPS = 1 << 12
"""Wider bins would need wider integers than any weights make."""

STEP_TOLERANCE = 0.02
"""Relative, of a bin's width in steps that a layer in front arranges for."""

_SLACK = 1e-5
"""Relative, of a float that stands for an integer: settled bins stay where they are."""

_NARROWEST = 1e-30
"""Range of a channel that never moves: not 0, and below every step, which its bins then have for their width."""

Reals = NDArray[np.float64]


class BinnedAccumulator(nn.Module):
    """What puts every channel's accumulator into 2^bits bins, directly behind a convolution or a linear layer.

    Circuits read the bins with approximate rounding, which costs no more than a table of ``bits`` bits, however wide the accumulator is.

    Args:
        bits: Width of the table's input, 2 to 8.
        noise: What training adds, in multiples of Concrete's noise: 0 or more. More than Concrete's own teaches the layers behind to
            say the same whichever of two adjoining table entries is read.
        steps: Of the accumulator, that every bin is wide: a power of two that a `BinnedLinear` in front arranges for. If None, the
            integer weights of any layer are multiplied until bins are about a power of two wide, which makes them large.

    Raises:
        NetworkError: If ``bits``, ``noise`` or ``steps`` is out of bounds.
    """

    active: Tensor
    negacyclic: ClassVar[bool] = False
    """See `cryptml.networks.bins.Bins`."""
    finest: ClassVar[int] = 8
    """How near integers come to a bin's width, where weights are multiplied for it: it never shrinks, and grows by less than 1/finest, as
    far as `MOST_DROPPED_BITS` allow. The larger, the larger are the weights."""

    def __init__(self, *, bits: int, noise: float, steps: int | None) -> None:
        super().__init__()
        if not 2 <= bits <= 8:
            raise NetworkError(f"accumulators cannot be rounded to {bits} bits; give 2 to 8")
        if not 0 <= noise < math.inf:
            raise NetworkError(f"training cannot add {noise!r} times Concrete's noise; give 0 or more")
        if steps is not None and (not 2 <= steps <= MOST_STEPS or steps.bit_count() != 1):
            raise NetworkError(f"bins cannot be {steps} steps wide; give a power of two from 2 to {MOST_STEPS}")
        self.bits = bits
        self.steps = steps
        self.deviation = noise * bin_deviation(DEFAULT_P_ERROR)
        self.excess = torch.zeros(())
        self.register_buffer("active", torch.tensor(False))

    def advance(self, share: float) -> None:
        """Begin to round once a share of the training, 0 to 1, is over."""
        self.active.fill_(share >= ACTIVE_FROM)

    @property
    def ready(self) -> bool:
        """Whether anything was seen that bins can be put over."""
        raise NotImplementedError

    def grid(self) -> tuple[Tensor, Tensor]:
        """Return the lower end of the first bin and the width of every bin, (channels,) each."""
        raise NotImplementedError

    def centres(self, numbers: IntArray) -> Reals:
        """Return (len(numbers), channels): the middle of each numbered bin, beyond the first and the last too."""
        low, width = (each.detach().numpy().astype(np.float64) for each in self.grid())
        found: Reals = low + (numbers[:, None] + 0.5) * width
        return found

    def put(self, low: Tensor, width: Tensor) -> None:
        """Put the bins elsewhere for good, (channels,) each."""
        raise NotImplementedError

    def settle(self, step: Tensor, granule: int = 1) -> None:
        """Move the bins to where integers can put them, in place: see `IntegerBins`.

        Args:
            step: Of the accumulator, 1 or (channels,) values.
            granule: See `integer_bins`.
        """
        steps = step.detach().numpy().astype(np.float64)
        low, width = self.integer_bins(steps, granule).real(steps)
        self.put(torch.from_numpy(low), torch.from_numpy(width))

    def integer_bins(self, step: Reals, granule: int = 1) -> IntegerBins:
        """Return the integers that come nearest to the bins of accumulators.

        Args:
            step: What they count in: 1 or (channels,) sizes.
            granule: How many accumulators of the layer an average between it and the bins adds up: each of them is shifted by the same,
                so that bins move by multiples of it.
        """
        low, width = (each.detach().numpy().astype(np.float64) for each in self.grid())
        if not self.ready:  # never trained: any bins will do
            low, width = np.zeros_like(low), np.zeros_like(width)
        count = 2**self.bits
        if self.steps is not None and np.allclose(width / step, self.steps, rtol=STEP_TOLERANCE):
            # The layer in front made its steps so large.
            shift = np.rint(self.steps * count / 2 - (low + width * count / 2) / step - 0.5).astype(np.int64)
            shift = np.rint(shift / granule).astype(np.int64) * granule
            return IntegerBins(count, self.steps.bit_length() - 1, np.ones_like(shift), shift, self.negacyclic)
        # No bin is narrower than a step, not even that of a channel that never moves.
        ratio = np.maximum(width / step, 1.0)
        fewest = math.ceil(math.log2(ratio.max() * (1 - _SLACK)))
        dropped = max(fewest, min(math.ceil(math.log2(self.finest * ratio.max())), MOST_DROPPED_BITS))
        factor = _multipliers(ratio, dropped)
        while dropped and not (factor % 2).any():  # the same bins with smaller weights
            dropped, factor = dropped - 1, factor // 2
        shift = np.rint(-low / step * factor - 0.5).astype(np.int64)
        shift = np.rint(shift / granule).astype(np.int64) * granule
        return IntegerBins(count, dropped, factor, shift, self.negacyclic)


class RoundedAccumulator(BinnedAccumulator):
    """Bins over the range seen in training, with a margin; gradients pass as if nothing were rounded.

    Args:
        channels: Of the layer before.
        bits: See `BinnedAccumulator`.
        noise: See there.
        steps: See there.
    """

    low: Tensor
    high: Tensor

    def __init__(self, channels: int, *, bits: int, noise: float = 1.0, steps: int | None = None) -> None:
        super().__init__(bits=bits, noise=noise, steps=steps)
        self.register_buffer("low", torch.full((channels,), math.inf))
        self.register_buffer("high", torch.full((channels,), -math.inf))

    @property
    def ready(self) -> bool:
        """See `BinnedAccumulator.ready`."""
        return bool(torch.isfinite(self.low).all())

    def forward(self, x: Tensor) -> Tensor:
        """Return the centres of the bins of (batch, channels, ...) accumulators; as they are while inactive."""
        value = value_of(x)
        if self.training:
            self._watch(value.detach())
            self.excess = excess(value)
        if not (self.active and self.ready):
            return value
        with torch.no_grad():
            low, width = (each.reshape(-1, *[1] * (value.ndim - 2)) for each in self.grid())
            place = (value - low) / width
            if self.training:
                place = place + self.deviation * torch.randn_like(place)
            centre = low + (place.floor().clamp(0, 2**self.bits - 1) + 0.5) * width
        return value + (centre - value).detach()

    def _watch(self, value: Tensor) -> None:
        """Follow the range: at once where it grows, slowly where it shrinks."""
        least, most = (extreme(value.transpose(0, 1).flatten(1), dim=1) for extreme in (torch.amin, torch.amax))
        known = torch.isfinite(self.low)
        self.low.copy_(torch.where(known, torch.minimum(least, MEMORY * self.low + (1 - MEMORY) * least), least))
        self.high.copy_(torch.where(known, torch.maximum(most, MEMORY * self.high + (1 - MEMORY) * most), most))

    def grid(self) -> tuple[Tensor, Tensor]:
        """See `BinnedAccumulator.grid`."""
        span = (self.high - self.low).clamp_min(_NARROWEST) * MARGIN
        return (self.low + self.high - span) / 2, span / 2**self.bits

    def put(self, low: Tensor, width: Tensor) -> None:
        """See `BinnedAccumulator.put`."""
        span = width * 2**self.bits
        self.low.copy_(low + span / 2 - span / (2 * MARGIN))
        self.high.copy_(low + span / 2 + span / (2 * MARGIN))


def _multipliers(ratio: Reals, dropped: int) -> IntArray:
    """Return what steps are multiplied by, (channels,), for bins of 2^dropped not to be narrower than ``ratio`` steps."""
    exact = 2.0**dropped / ratio
    nearest = np.rint(exact)
    found = np.where(np.abs(exact - nearest) <= _SLACK * exact, nearest, np.floor(exact))
    return np.maximum(found, 1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class IntegerBins:
    """Bins of accumulators ``a`` in integers: bin i of channel c holds ``factor[c] * a + shift[c] >> dropped_bits == i``.

    Attributes:
        count: Of every channel.
        dropped_bits: Of every channel.
        factor: (channels,) int64, 1 or more: what the layer's weights and bias are multiplied by.
        shift: (channels,) int64, added behind.
        negacyclic: See `cryptml.networks.bins.Bins`.
    """

    count: int
    dropped_bits: int
    factor: IntArray
    shift: IntArray
    negacyclic: bool = False

    def real(self, step: Reals) -> tuple[Reals, Reals]:
        """Return lower end and width in real numbers; the ends lie between integers, where no rounding of a float matters."""
        return -(self.shift + 0.5) / self.factor * step, 2.0**self.dropped_bits / self.factor * step


def excess(values: Tensor) -> Tensor:
    """Return how far (batch, channels, ...) values lie beyond `REACH` deviations of their channel: a mean square, 0 or more.

    The fewer values lie far out, the narrower are the bins that cover all of them, and the less Concrete's noise matters.
    """
    each = values.transpose(0, 1).flatten(1)
    standard = (each - each.mean(1, keepdim=True)) / (each.std(1, keepdim=True) + 1e-6)
    return (standard.abs() - REACH).clamp_min(0).square().mean()
