"""Move biases and bins of a trained module to where integers can be."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cryptml.networks.conversion.reading import Stage
from cryptml.networks.conversion.stages import read_branch, read_stages
from cryptml.networks.conversion.windows import pooling_window
from cryptml.networks.front_ends import FrontEnd
from cryptml.networks.modules.binned_linear import BinnedLinear
from cryptml.networks.modules.blocks import ResidualBlock
from cryptml.networks.modules.rounded_accumulator import BinnedAccumulator


def settle(module: nn.Sequential, front_end: FrontEnd) -> None:
    """Move what is no integer yet, biases and the bins of rounded accumulators, to where integers can be, in place.

    An accumulator counts in steps of input scale x weight scale (Jacob et al., "Quantization and Training of Neural
    Networks for Efficient Integer-Arithmetic-Only Inference", 2018, section 2.2), so a bias between two steps has no
    integer. Settled, the module itself is what the integer program computes.

    Args:
        module: Trained; left in evaluation mode.
        front_end: Gives the shape of the input.

    Raises:
        NetworkError: If the module cannot be cut into layers, with every reason.
    """
    module.eval()
    with torch.no_grad():
        module(torch.zeros(1, *front_end.shape))  # pruned weights are computed by a forward pass
        grid, stages = read_stages(module, front_end.shape)
        _settle(stages, grid.quant_act_scale())


def _settle(stages: Sequence[Stage], scale: Tensor) -> None:
    """Settle biases and bins of stages in a row; ``scale``, of 1 or (channels,) values, is that of their input."""
    granule = 1
    for stage in stages:
        if isinstance(stage.modules[0], BinnedAccumulator):
            stage.modules[0].settle(scale, granule)  # after the bias of the layer before
        granule = 1 if stage.kind != "pooling" else granule
        last = stage.modules[-1]
        if stage.kind in ("convolution", "linear"):
            if isinstance(last, BinnedLinear) and last.bins.ready and last.is_off(scale):
                last.follow(scale)
            scale = scale * last.quant_weight().scale.reshape(-1)
            if last.bias is not None:
                kept = getattr(last, "bias_orig", last.bias)  # of a pruned bias, what its next product is made of
                kept.copy_(torch.round(kept / scale) * scale)
        elif stage.kind == "pooling":
            count = math.prod(pooling_window(last, stage.reads).kernel)
            granule, scale = granule * count, scale / count
        elif stage.kind == "maximum":
            pass
        elif isinstance(last, ResidualBlock):
            for branch in ("body", "shortcut"):
                _settle(read_branch(last, branch, stage.reads), scale)
            scale = last.grid.quant_act_scale()
        else:
            scale = last.quant_act_scale()
