"""The negacyclic activation: a triangle of the normalised accumulator, which Concrete computes over any range."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from cryptml.errors import NetworkError
from cryptml.networks.modules.blocks import value_of
from cryptml.networks.modules.rounded_accumulator import BinnedAccumulator

MEMORY = 20
"""Batches over which mean and variance are averaged."""

HALF_PERIOD = 4.0
"""Deviations of the accumulator over which the triangle falls from its peak to its trough, to begin with."""

_LEAST_VARIANCE = 1e-8


class NegacyclicActivation(BinnedAccumulator):
    """Normalises (batch, channels, ...) accumulators, rounds them to bins, and gives a periodic triangle of them, by channel.

    Half a period further it is the same with the opposite sign: what Concrete does with any table where an accumulator leaves its
    bins. So no range has to be covered, nothing overflows, and 2^bits bins cover half a period: they are several times finer than
    bins over all that was seen, and noise weighs as much less. Near a peak it is an absolute value, upside down;
    between them a straight line. Period, phase and amplitude are learned. A quantiser behind must be symmetric.

    Args:
        channels: Of the layer before.
        bits: See `BinnedAccumulator`.
        noise: See there.
        steps: See there.
        phase: Where triangles begin, in half periods, drawn evenly from a range of this width around the mean: 0 begins each at
            its peak.
    """

    negacyclic: ClassVar[bool] = True
    finest: ClassVar[int] = 32
    """A wider bin is a longer period: it changes what was learned, where other tables only lose a little of their margin."""
    mean: Tensor
    variance: Tensor
    seen: Tensor
    low: Tensor
    width: Tensor
    settled: Tensor

    def __init__(
        self, channels: int, *, bits: int, noise: float = 1.0, steps: int | None = None, phase: float = 1.0
    ) -> None:
        super().__init__(bits=bits, noise=noise, steps=steps)
        self.narrowing = nn.Parameter(torch.zeros(channels))
        self.phase = nn.Parameter(phase * (torch.rand(channels) - 0.5))
        self.loudness = nn.Parameter(torch.ones(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("low", torch.zeros(channels))
        self.register_buffer("width", torch.ones(channels))
        self.register_buffer("settled", torch.tensor(False))

    @property
    def ready(self) -> bool:
        """See `BinnedAccumulator.ready`."""
        return bool(self.seen)

    def forward(self, x: Tensor) -> Tensor:
        """Return triangles in [-1, 1], times their amplitude."""
        value = value_of(x)
        if self.training:
            low, width = self._grid(*self._watch(value))
        else:
            low, width = self.grid()
        axes = [1] * (value.ndim - 2)
        place = (value - low.reshape(-1, *axes)) / width.reshape(-1, *axes)
        if not self.training:
            # Floats of few digits: half a period further is the opposite to the last bit.
            place = place.floor() + 0.5
        elif self.active:
            read = place.detach()
            place = place + ((read + self.deviation * torch.randn_like(read)).floor() + 0.5 - read)
        distance = place / 2**self.bits
        distance = distance - 2 * ((distance + 1) / 2).floor()  # from the nearest peak, in half periods
        return (1 - 2 * distance.abs()) * self.loudness.reshape(-1, *axes)

    def _watch(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Return the batch's mean and variance, with their gradients, and remember them."""
        if value.numel() < 2 * value.shape[1]:
            raise NetworkError(
                f"a negacyclic activation cannot normalise {value.shape[0]} accumulator a channel in training; give it 2 or more"
            )
        axes = [0, *range(2, value.ndim)]
        mean, variance = value.mean(axes), value.var(axes)
        with torch.no_grad():
            self.settled.fill_(False)
            self.seen += 1
            for kept, found in ((self.mean, mean), (self.variance, variance)):
                kept += (found - kept) / self.seen.clamp_max(MEMORY)
        return mean, variance

    def _grid(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        half_period = HALF_PERIOD * (variance + _LEAST_VARIANCE).sqrt() / self.narrowing.exp()
        return mean - self.phase * half_period, half_period / 2**self.bits

    def grid(self) -> tuple[Tensor, Tensor]:
        """See `BinnedAccumulator.grid`."""
        return (self.low, self.width) if self.settled else self._grid(self.mean, self.variance)

    def put(self, low: Tensor, width: Tensor) -> None:
        """See `BinnedAccumulator.put`."""
        self.low.copy_(low)
        self.width.copy_(width)
        self.settled.fill_(True)
