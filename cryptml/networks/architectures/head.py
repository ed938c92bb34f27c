"""A narrow head behind features that are public: one hidden layer of negacyclic activations, added up for each class."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from cryptml.networks.modules.blocks import input_grid, linear, signed_activation, votes
from cryptml.networks.modules.dropout import CentredDropout
from cryptml.networks.modules.negacyclic import NegacyclicActivation

DROPPED = 0.3
"""Share of the features, in training."""


def negacyclic_head(features: int, hidden: int, classes: int) -> nn.Sequential:
    """Return the untrained layers behind (batch, features) float32.

    Args:
        features: What the front end gives.
        hidden: Neurons, each one bootstrap of 3 bits.
        classes: Names of the outputs; every neuron votes for one.
    """
    return nn.Sequential(
        OrderedDict(
            grid=input_grid(bits=6),
            drop=CentredDropout(features, DROPPED),
            linear1=linear(features, hidden, bits=5, bias=False, scales=hidden),
            wave1=NegacyclicActivation(hidden, bits=3),
            act1=signed_activation(bits=3),
            votes=votes(hidden, classes),
        )
    )
