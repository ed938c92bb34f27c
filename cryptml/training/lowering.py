"""Progressive lowering of bit widths: weights and activations begin wider than they will be and become narrower in stages.

Early in a training gradients find their way more easily where little is rounded (Zhuang et al., "Towards effective low-bitwidth
convolutional neural networks", 2018, lower the widths of a trained network in the same manner). Grids keep their ranges; only the
steps become coarser. Weights that follow the bins behind them (`cryptml.networks.modules.binned_linear`) have steps of their own and keep
these. The last stage, the network's own widths, begins where accumulators begin to be rounded.
"""

from __future__ import annotations

import math

import torch
from brevitas.core.bit_width import BitWidthConst
from torch import Tensor, nn

from cryptml.networks.modules.rounded_accumulator import ACTIVE_FROM

LOWERED_BY = ACTIVE_FROM
"""Share of the training after which widths are the network's own."""


class Lowering:
    """The widths of a module's quantisers, which this sets until the training's first half is over.

    Args:
        module: A Brevitas network.
        extra_bits: How many bits wider every quantiser begins; 0 leaves all as they are.
    """

    def __init__(self, module: nn.Module, extra_bits: int) -> None:
        self._widths: list[tuple[Tensor, float]] = [
            (each.bit_width.value, float(each.bit_width.value))
            for each in module.modules()
            if isinstance(each, BitWidthConst)
        ]
        self._extra = extra_bits if self._widths else 0
        self.done = self._extra == 0
        """Whether widths are the network's own."""

    def advance(self, share: float) -> None:
        """Set the widths for a share of the training, 0 to 1."""
        wider = max(0, math.ceil(self._extra * (1 - share / LOWERED_BY)))
        self.done = wider == 0
        with torch.no_grad():
            for width, own in self._widths:
                width.fill_(own + wider)
