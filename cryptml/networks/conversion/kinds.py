"""The kinds of module that have an integer form, and what to write in the place of others."""

from __future__ import annotations

from brevitas import nn as qnn
from torch import nn

from cryptml.networks.modules.blocks import Modulus
from cryptml.networks.modules.dropout import CentredDropout
from cryptml.networks.sequences.parts import Arrangement

CLOSING = (qnn.QuantReLU, qnn.QuantIdentity, qnn.QuantHardTanh, qnn.QuantSigmoid, qnn.QuantTanh)
"""Activations that end on an integer grid."""

CONVOLUTIONS = (qnn.QuantConv1d, qnn.QuantConv2d)

AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)

MAXIMA = (nn.MaxPool1d, nn.MaxPool2d)

NORMALISING = (nn.BatchNorm2d, nn.BatchNorm1d)
"""A straight line a channel, which commutes with averages."""

RISING = (nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.ELU)
"""Whatever was learned, these never fall: the largest value stays the largest."""

CHANNELWISE = (
    *NORMALISING,
    *RISING,
    nn.LeakyReLU,
    nn.GELU,
    nn.SiLU,
    nn.Hardswish,
    Modulus,
)
"""What a table can hold without being asked: maps of one value at a time, the same or one a channel."""

ARRANGING = (nn.Flatten, nn.Unflatten, Arrangement)
"""The same values in another shape."""

PASSING = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.Identity, CentredDropout)
"""Nothing happens to the values in evaluation."""

_STATISTICS = "use torch.nn.BatchNorm2d: statistics of an encrypted tensor are out of reach"
_SOFTMAX = "leave it out: the client applies it to the decrypted logits"
_CONVOLUTION = "use brevitas.nn.QuantConv2d"

REPLACEMENTS: dict[type[nn.Module], str] = {
    nn.Conv1d: "use brevitas.nn.QuantConv1d",
    nn.Conv2d: _CONVOLUTION,
    nn.Conv3d: _CONVOLUTION,
    nn.ConvTranspose2d: _CONVOLUTION,
    qnn.QuantConvTranspose1d: "use brevitas.nn.QuantConv1d",
    qnn.QuantConvTranspose2d: _CONVOLUTION,
    nn.Linear: "use brevitas.nn.QuantLinear",
    qnn.TruncAvgPool2d: "use torch.nn.AvgPool2d: the division moves into the scale, nothing is truncated",
    qnn.TruncAdaptiveAvgPool2d: "use torch.nn.AdaptiveAvgPool2d: the division moves into the scale, nothing is truncated",
    nn.Softmax: _SOFTMAX,
    nn.LogSoftmax: _SOFTMAX,
    nn.LayerNorm: _STATISTICS,
    nn.GroupNorm: _STATISTICS,
    nn.InstanceNorm2d: _STATISTICS,
    nn.LSTM: "use brevitas.nn.QuantConv1d over the sequence: a circuit has no memory",
    nn.GRU: "use brevitas.nn.QuantConv1d over the sequence: a circuit has no memory",
    qnn.QuantLSTM: "use brevitas.nn.QuantConv1d over the sequence: a circuit has no memory",
    nn.MultiheadAttention: "use brevitas.nn.QuantConv1d or QuantLinear: products of two encrypted tensors are out of reach",
    qnn.QuantMultiheadAttention: "use brevitas.nn.QuantConv1d or QuantLinear: products of two encrypted tensors are out of reach",
    qnn.QuantEltwiseAdd: "use cryptml.networks.modules.ResidualBlock",
    qnn.QuantCat: "write one convolution of as many channels instead of a concatenation",
}


def instead_of(module: nn.Module) -> str:
    """Return what to use in the place of a module that has no integer form."""
    known = ", ".join(
        sorted({each.__name__ for each in (*CLOSING, nn.AvgPool2d, nn.MaxPool2d, qnn.QuantConv2d, qnn.QuantLinear)})
    )
    found = next((words for kind, words in REPLACEMENTS.items() if isinstance(module, kind)), None)
    return found or f"use {known}, a function of each value by itself, or a ResidualBlock"
