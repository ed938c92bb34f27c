"""Dropout for inputs whose mean is far from 0."""

from __future__ import annotations

import torch
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn

from cryptml.networks.modules.blocks import value_of

BATCHES = 50
"""Over about so many batches the mean is taken."""


class CentredDropout(nn.Module):
    """Dropout that puts the mean in place of what is dropped: inputs that are far from 0 lose only what is theirs alone.

    Args:
        share: Of the values that are dropped in training, 0 to below 1.
    """

    mean: Tensor

    def __init__(self, features: int, share: float) -> None:
        super().__init__()
        self.share = share
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, features) values, as they are in evaluation."""
        if not self.training:
            return x
        value = value_of(x)
        with torch.no_grad():
            self.batches += 1
            self.mean += (value.mean(0) - self.mean) / self.batches.clamp_max(BATCHES)
        kept = torch.where(torch.rand_like(value) < self.share, self.mean, value)
        return x.set(value=kept) if isinstance(x, QuantTensor) else kept
