"""Make a Brevitas network and its integer program give the same answers, and check that they do."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from cryptml.errors import NetworkError
from cryptml.networks.conversion.stages import Stage, read_branch, read_stages
from cryptml.networks.front_ends import FrontEnd
from cryptml.networks.modules.binned_linear import BinnedLinear
from cryptml.networks.modules.blocks import ResidualBlock, value_of
from cryptml.networks.modules.rounded_accumulator import BinnedAccumulator
from cryptml.networks.network import Network

MOST_DISAGREEMENT = 0.01
"""Share of regions whose logits may differ: rounding of exact halves is the only cause that is not a fault."""

_BATCH = 256


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
        grid, stages = read_stages(module)
        _settle(stages, grid.quant_act_scale())


def _settle(stages: Sequence[Stage], scale: Tensor) -> None:
    """Settle biases and bins of stages in a row; ``scale``, of 1 or (channels,) values, is that of their input."""
    for stage in stages:
        if isinstance(stage.modules[0], BinnedAccumulator):
            stage.modules[0].settle(scale)  # after the bias of the layer before
        last = stage.modules[-1]
        if stage.kind in ("convolution", "linear"):
            if isinstance(last, BinnedLinear) and last.bins.ready and last.is_off(scale):
                last.follow(scale)
            scale = scale * last.quant_weight().scale.reshape(-1)
            if last.bias is not None:
                last.bias.copy_(torch.round(last.bias / scale) * scale)
        elif stage.kind == "pooling":
            rows, columns = last.kernel_size if isinstance(last.kernel_size, tuple) else (last.kernel_size,) * 2
            scale = scale / math.prod((rows, columns))
        elif isinstance(last, ResidualBlock):
            for branch in ("body", "shortcut"):
                _settle(read_branch(last, branch), scale)
            scale = last.grid.quant_act_scale()
        else:
            scale = last.quant_act_scale()


def disagreement(module: nn.Module, network: Network, inputs: Tensor) -> float:
    """Return the share of regions, 0 to 1, with a logit that differs by half a grid step or more.

    Args:
        module: What was converted.
        network: What came of it.
        inputs: (n, *front_end.shape) float32, regions behind the front end, at least one.
    """
    module.eval()
    half = np.asarray(network.boundaries[-1].scale) / 2
    differing = 0
    for batch in torch.split(inputs, _BATCH):
        with torch.no_grad():
            expected = value_of(module(batch)).numpy()
        differing += int((np.abs(expected - network.logits_from(batch.numpy())) >= half).any(axis=1).sum())
    return differing / len(inputs)


def check_agreement(module: nn.Module, network: Network, inputs: Tensor) -> float:
    """Return the `disagreement`, which must not exceed 1 %.

    Raises:
        NetworkError: If it does: the integer program is then another network than the one that was trained.
    """
    share = disagreement(module, network, inputs)
    if share > MOST_DISAGREEMENT:
        raise NetworkError(
            f"the integer program of network {network.name!r} differs from the trained one on {share:.1%} of "
            f"{len(inputs)} regions where {MOST_DISAGREEMENT:.0%} is allowed; look for a module whose result depends "
            "on more than its input, or a quantiser that was changed after the training"
        )
    return share
