"""Narrow heads behind features that are public: a layer of negacyclic activations, added up for each class."""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import nn

from cryptml.networks.modules.blocks import convolution, input_grid, linear, signed_activation, votes
from cryptml.networks.modules.dropout import CentredDropout
from cryptml.networks.modules.negacyclic import HALF_PERIOD, NegacyclicActivation

DROPPED = 0.3
"""Share of the features, in training."""


def negacyclic_head(features: int, hidden: int, classes: int, dropped: float = DROPPED) -> nn.Sequential:
    """Return the untrained layers behind (batch, features) float32.

    Args:
        features: What the front end gives.
        hidden: Neurons, each one bootstrap of 3 bits.
        classes: Names of the outputs; every neuron votes for one.
        dropped: Share of the features that is dropped in training, from 0 to below 1.
    """
    return nn.Sequential(
        OrderedDict(
            grid=input_grid(bits=6),
            drop=CentredDropout(features, dropped),
            linear1=linear(features, hidden, bits=5, bias=False, scales=hidden),
            wave1=NegacyclicActivation(hidden, bits=3),
            act1=signed_activation(bits=3),
            votes=votes(hidden, classes),
        )
    )


def pooled_head(features: int, squares: int, hidden: int, classes: int) -> nn.Sequential:
    """Return the untrained layers behind (batch, features, across, across) float32 of a `Squares` front end.

    Every square goes through the same neurons, and each neuron's table says how much the square speaks for its class; what is decrypted is
    the sum over all squares, so that the client learns one answer about the whole, and no map.

    Args:
        features: Of one square.
        squares: How many there are.
        hidden: Neurons, each one bootstrap of 3 bits a square.
        classes: Names of the outputs; every neuron votes for one.
    """
    return nn.Sequential(
        OrderedDict(
            grid=input_grid(bits=6),
            conv1=convolution(features, hidden, 1, bits=5),
            wave1=NegacyclicActivation(hidden, bits=3),
            act1=signed_activation(bits=3),
            flatten=nn.Flatten(),
            votes=votes(hidden * squares, classes),
        )
    )


REACH = 3.5
"""Deviations of a weighted sum on either side of its mean over which a `linear_head`'s table falls: beyond, it would rise again."""

SUM_BITS = 5
"""Of a linear head's tables, taken and given: one of them alone decides the order of all pictures."""


def linear_head(features: int, classes: int, bits: int = SUM_BITS, tables: int = 1) -> nn.Sequential:
    """Return the untrained layers behind (batch, features) float32: a weighted sum for every class, each read by one table or several.

    Of two classes one sum is enough where one table reads it. Tables are negacyclic and begin as straight lines.

    Args:
        features: What the front end gives.
        classes: Names of the outputs.
        bits: Of each table, taken and given.
        tables: That read each sum, their entries apart from each other: two of b bits have as many steps as one of b + 1, which costs more
            from 5 bits on.
    """
    sums = 1 if classes == 2 and tables == 1 else classes * tables
    table = NegacyclicActivation(sums, bits=bits)
    with torch.no_grad():
        table.narrowing.fill_(math.log(HALF_PERIOD / (2 * REACH)))
        table.phase.fill_(0.5)
    return nn.Sequential(
        OrderedDict(
            grid=input_grid(bits=7),
            linear1=linear(features, sums, bits=6, bias=False, scales=sums),
            wave1=table,
            act1=signed_activation(bits=bits),
            votes=votes(sums, classes),
        )
    )
