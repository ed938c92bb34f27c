"""The Brevitas layers that the shipped architectures are made of, with their quantisers fixed."""

from __future__ import annotations

import torch
from brevitas import nn as qnn
from brevitas.quant import (
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
    Uint8ActPerTensorFloat,
)
from torch import Tensor, nn
from torch.nn.utils import prune


def input_grid(bits: int) -> nn.Module:
    """Return the quantiser of the first boundary: signed, ``bits`` wide, its scale learned from the data."""
    return qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat, bit_width=bits, return_quant_tensor=True)


def convolution(
    inputs: int, outputs: int, kernel: int, *, bits: int, stride: int = 1, padding: int = 0, groups: int = 1
) -> nn.Module:
    """Return a convolution without bias, weights of ``bits`` bits (2 is ternary) on one scale.

    One scale an output channel would train as well and cost the integer program nothing, but Concrete ML's import takes one.
    """
    return qnn.QuantConv2d(
        inputs,
        outputs,
        kernel,
        stride=stride,
        padding=padding,
        groups=groups,
        bias=False,
        weight_quant=Int8WeightPerTensorFloat,
        weight_bit_width=bits,
    )


def linear(inputs: int, outputs: int, *, bits: int, bias: bool = True, scales: int = 1) -> nn.Module:
    """Return a fully connected layer with weights of ``bits`` bits.

    Args:
        inputs: Features in.
        outputs: Features out.
        bits: 2 is ternary.
        bias: Whether it has one; before batch normalisation it needs none.
        scales: 1 for all weights together, or ``outputs`` for one each.
    """
    quantiser = Int8WeightPerTensorFloat if scales == 1 else Int8WeightPerChannelFloat
    return qnn.QuantLinear(inputs, outputs, bias=bias, weight_quant=quantiser, weight_bit_width=bits)


def votes(inputs: int, classes: int) -> nn.Module:
    """Return a fully connected layer that adds an equal share of the inputs up for each class; nothing in it is learned.

    What an input weighs is in the table that it comes from. So few small weights keep the sums narrow.
    """
    layer = linear(inputs, classes, bits=2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(inputs) * classes // inputs == torch.arange(classes)[:, None])
    layer.weight.requires_grad_(False)
    return layer


def keep_taps(module: nn.Module, *, taps: int, seed: int) -> nn.Module:
    """Prune a convolution to ``taps`` weights an output channel, at places drawn from a fixed seed.

    Args:
        module: A convolution; pruned in place.
        taps: At most the weights of one output channel.
        seed: The places depend on it and on the weight's shape alone.
    """
    weight = module.weight
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros(len(weight), weight[0].numel())
    for row in mask:
        row[torch.randperm(len(row), generator=generator)[:taps]] = 1
    mask = mask.reshape(weight.shape)
    with torch.no_grad():
        weight.mul_(mask)  # dropped taps would still count in the scale of those that are left
    prune.custom_from_mask(module, "weight", mask)  # type: ignore[no-untyped-call]
    return module


def activation(bits: int) -> nn.Module:
    """Return a rectifier that requantises to ``bits`` unsigned bits, its scale learned."""
    return qnn.QuantReLU(act_quant=Uint8ActPerTensorFloat, bit_width=bits, return_quant_tensor=True)


def signed_activation(bits: int) -> nn.Module:
    """Return a quantiser to ``bits`` signed bits that treats both signs alike, -(2^(bits-1) - 1) to 2^(bits-1) - 1, its scale learned."""
    return qnn.QuantIdentity(
        act_quant=Int8ActPerTensorFloat, bit_width=bits, narrow_range=True, return_quant_tensor=True
    )


class Modulus(nn.Module):
    """The absolute value: how strongly a filter answers, whatever the sign. A table holds it as it holds a rectifier."""

    def forward(self, x: Tensor) -> Tensor:
        """Return absolute values of any shape."""
        return value_of(x).abs()


class ResidualBlock(nn.Module):
    """``body(x) + shortcut(x)``, one layer that cannot be cut.

    Both branches must end on one integer grid: end each with the *same* quantiser instance (pass it as ``grid``).

    Args:
        body: The long branch.
        grid: A `brevitas.nn.QuantIdentity` that requantises the end of both branches.
        shortcut: The short branch; the identity if None.
    """

    def __init__(self, body: nn.Sequential, grid: nn.Module, shortcut: nn.Sequential | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut if shortcut is not None else nn.Sequential()
        self.grid = grid

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both branches."""
        return value_of(self.grid(self.body(x))) + value_of(self.grid(self.shortcut(x)))


def value_of(x: Tensor) -> Tensor:
    """Return the real numbers of a Brevitas quantised tensor, or a plain tensor as it is."""
    inner = getattr(x, "value", x)
    return inner if isinstance(inner, torch.Tensor) else x
