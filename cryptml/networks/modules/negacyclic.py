"""A non-linearity that the engine computes without an end: a triangle wave of the normalised accumulator."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from cryptml.errors import NetworkError
from cryptml.networks.modules.blocks import value_of
from cryptml.networks.modules.rounded_accumulator import BinnedAccumulator

MEMORY = 20
"""Batches over which mean and variance are averaged."""

TURN = 4.0
"""Deviations of the accumulator over which the wave falls from its peak to its trough, to begin with."""

_LEAST_VARIANCE = 1e-8


class TriangleWave(BinnedAccumulator):
    """Normalises (batch, channels, ...) accumulators, rounds them to bins, and gives a triangle wave of them, by channel.

    Half a turn further the wave is the same with the opposite sign: what the engine does with any table where an accumulator leaves its
    bins. So no range has to be covered, nothing overflows, and 2^bits bins cover half a turn: they are several times finer than
    bins over all that was seen, and noise weighs as much less. Near a peak the wave is an absolute value, upside down;
    between them a straight line. Period, phase and loudness are learned. A quantiser behind must be symmetric.

    Args:
        channels: Of the layer before.
        bits: See `BinnedAccumulator`.
        noise: See there.
        steps: See there.
        phase: Where waves begin, in half turns, drawn evenly from a range of this width around the mean: 0 begins every wave at
            its peak.
    """

    negacyclic: ClassVar[bool] = True
    finest: ClassVar[int] = 32
    """A wider bin is a longer wave: it changes what was learned, where other tables only lose a little of their margin."""
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
        """Return waves in [-1, 1], times their loudness."""
        value = value_of(x)
        if self.training:
            low, width = self._grid(*self._watch(value))
        else:
            low, width = self.grid()
        axes = [1] * (value.ndim - 2)
        place = (value - low.reshape(-1, *axes)) / width.reshape(-1, *axes)
        if not self.training:
            # Floats of few digits: half a turn further is the opposite to the last bit.
            place = place.floor() + 0.5
        elif self.active:
            read = place.detach()
            place = place + ((read + self.deviation * torch.randn_like(read)).floor() + 0.5 - read)
        turns = place / 2**self.bits
        turns = turns - 2 * ((turns + 1) / 2).floor()  # from the nearest peak, in half turns
        return (1 - 2 * turns.abs()) * self.loudness.reshape(-1, *axes)

    def _watch(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Return the batch's mean and variance, with their gradients, and remember them."""
        if value.numel() < 2 * value.shape[1]:
            raise NetworkError(
                f"a wave cannot normalise {value.shape[0]} accumulator a channel in training; give it 2 or more"
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
        half_turn = TURN * (variance + _LEAST_VARIANCE).sqrt() / self.narrowing.exp()
        return mean - self.phase * half_turn, half_turn / 2**self.bits

    def grid(self) -> tuple[Tensor, Tensor]:
        """See `BinnedAccumulator.grid`."""
        return (self.low, self.width) if self.settled else self._grid(self.mean, self.variance)

    def put(self, low: Tensor, width: Tensor) -> None:
        """See `BinnedAccumulator.put`."""
        self.low.copy_(low)
        self.width.copy_(width)
        self.settled.fill_(True)
