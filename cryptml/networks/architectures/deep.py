"""Four layers behind a deep front end: convolutions that learned from synthetic scenes, public, and a narrow head that is secret.

Features are averaged over the eight turns and mirror images of a region: a lesion of a mammogram has no up and no left.

The head is that of `cryptml.networks.architectures.scatter`, for other features.
"""

from __future__ import annotations

from torch import nn

from cryptml.networks.architectures.head import negacyclic_head
from cryptml.networks.front_ends import Deep

SIDE = 32
FRONT_END = Deep(SIDE, "square")
HIDDEN = 18


def build(classes: int = 2) -> nn.Sequential:
    """Return the untrained network for (batch, 448) features."""
    return negacyclic_head(FRONT_END.shape[0], HIDDEN, classes)
