"""Do a Brevitas network and its integer program give the same answers?"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from cryptml.errors import NetworkError
from cryptml.networks.modules.blocks import value_of
from cryptml.networks.network import Network

MOST_DISAGREEMENT = 0.01
"""Share of regions whose logits may differ: rounding of exact halves is the only cause that is not a fault."""

_BATCH = 256


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
