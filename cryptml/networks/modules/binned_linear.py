"""Weights whose integers stay small, because their scales are made for the bins of what they add up to."""

from __future__ import annotations

import torch
from brevitas import nn as qnn
from brevitas.inject.enum import ScalingImplType
from brevitas.quant import Int8WeightPerChannelFloat
from brevitas.quant_tensor import QuantTensor
from torch import Tensor

from cryptml.errors import NetworkError
from cryptml.networks.modules.rounded_accumulator import STEP_TOLERANCE, BinnedAccumulator

SATURATED = 0.3
"""Of the largest weight: what is larger may be cut off, not less."""


class _SetScale(Int8WeightPerChannelFloat):  # type: ignore[misc]
    """One scale a neuron, which `BinnedLinear` sets."""

    scaling_impl_type = ScalingImplType.PARAMETER
    scaling_init = 1.0


class BinnedLinear(qnn.QuantLinear):  # type: ignore[misc]
    """A fully connected layer that follows the ranges of its accumulators: each of their bins is ``steps`` of its own steps wide.

    What an encrypted lookup costs depends on the norm of the integer weights between it and the lookups before: their noise is multiplied
    by it. Here no integer is larger than the bins need. Weights have no scale to learn, only a direction: what is
    lost is made good by what normalises the accumulators behind.

    Args:
        inputs: Features in, on an integer grid.
        outputs: Features out.
        bits: Of the weights.
        bins: What rounds its accumulators: a `BinnedAccumulator` with ``steps``, that the network has directly behind it.

    Raises:
        NetworkError: If ``bins`` has no ``steps``.
    """

    def __init__(self, inputs: int, outputs: int, *, bits: int, bins: BinnedAccumulator) -> None:
        super().__init__(inputs, outputs, bias=False, weight_quant=_SetScale, weight_bit_width=bits)
        if bins.steps is None:
            raise NetworkError("accumulators cannot be followed by a linear layer without steps; give them steps")
        self._bins = (bins,)  # in a tuple, or it would be a part of this layer and its state
        self._largest = 2 ** (bits - 1) - 1
        self.scale_of.requires_grad_(False)

    @property
    def bins(self) -> BinnedAccumulator:
        """What rounds its accumulators."""
        return self._bins[0]

    @property
    def scale_of(self) -> Tensor:
        """What the largest integer weight stands for, (outputs, 1)."""
        value: Tensor = self.weight_quant.tensor_quant.scaling_impl.value
        return value

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, outputs) accumulators; in training, scales follow first."""
        if self.training:
            if not isinstance(x, QuantTensor) or x.scale is None:
                raise NetworkError("a BinnedLinear reads no integers; put it behind an activation on a grid")
            self.follow(x.scale)
        accumulators: Tensor = super().forward(x)
        return accumulators

    @torch.no_grad()
    def follow(self, in_scale: Tensor) -> None:
        """Set the scales for the bins as they are now, in place.

        Where so few bits cannot make bins that wide, scales stay large enough for most weights; bins are then fewer steps wide, and
        `BinnedAccumulator.integer_bins` multiplies the weights.

        Args:
            in_scale: Of the integers that it reads.
        """
        widest = self.weight.abs().amax(1, keepdim=True)
        if not self.bins.ready:
            self.scale_of.copy_(widest)
            return
        _, width = self.bins.grid()
        wanted = (width / (self.bins.steps or 1) / in_scale * self._largest).reshape(-1, 1)
        self.scale_of.copy_(torch.maximum(wanted, SATURATED * widest))

    def is_off(self, in_scale: Tensor) -> bool:
        """Whether bins are no longer what scales were made for."""
        _, width = self.bins.grid()
        step = self.quant_weight().scale.reshape(-1) * in_scale
        return not bool(torch.allclose(width / step, torch.tensor(float(self.bins.steps or 1)), rtol=STEP_TOLERANCE))
