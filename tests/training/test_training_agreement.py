"""The trained module and its integer program give the same answers."""

from __future__ import annotations

import copy
import dataclasses

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat
from torch import nn

from cryptml.datasets.base import Dataset
from cryptml.errors import NetworkError
from cryptml.networks.conversion import convert, largest_difference
from cryptml.networks.conversion.settling import settle
from cryptml.networks.front_ends import Standardisation
from cryptml.networks.layers import Linear
from cryptml.networks.modules.blocks import ResidualBlock, activation, input_grid, linear
from cryptml.training import TrainedNetwork
from cryptml.training.evaluation.agreement import check_agreement, disagreement

FRONT_END = Standardisation(8)


def behind(regions: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(FRONT_END.apply(regions))


def biased(inputs: int, outputs: int, kernel: int, padding: int = 0, stride: int = 1) -> nn.Module:
    return qnn.QuantConv2d(
        inputs,
        outputs,
        kernel,
        stride=stride,
        padding=padding,
        bias=True,
        weight_quant=Int8WeightPerChannelFloat,
        weight_bit_width=3,
    )


def with_biases_everywhere(kernel: int | tuple[int, int] = 2) -> nn.Sequential:
    torch.manual_seed(0)
    shared = qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat, bit_width=4, return_quant_tensor=True)
    module = nn.Sequential(
        input_grid(bits=3),
        biased(1, 3, 2, stride=2),
        activation(bits=3),
        ResidualBlock(nn.Sequential(biased(3, 3, 3, 1), activation(bits=3), biased(3, 3, 1)), shared),
        activation(bits=3),
        nn.AvgPool2d(kernel),
        nn.Flatten(),
        linear(12, 2, bits=3),
    )
    module.train()
    for _ in range(4):
        module(torch.randn(16, 1, 8, 8))
    return module


@pytest.mark.parametrize("kernel", [2, (2, 2)])
def test_settled_biases_make_the_program_exact(kernel: int | tuple[int, int], phantoms: Dataset) -> None:
    module, regions = with_biases_everywhere(kernel), phantoms.images[:100]
    loose = convert(module, name="x", front_end=FRONT_END, classes=("a", "b"))
    assert largest_difference(module, loose, regions) > 1e-3
    before = {name: value.clone() for name, value in module.named_parameters() if name.endswith("bias")}
    assert len(before) == 4
    settle(module, FRONT_END)
    after = dict(module.named_parameters())
    assert all(not torch.equal(value, after[name]) for name, value in before.items())
    settled = convert(module, name="x", front_end=FRONT_END, classes=("a", "b"))
    assert largest_difference(module, settled, regions) < 1e-5
    assert disagreement(module, settled, behind(regions)) == 0
    for one, other in zip(loose.layers, settled.layers, strict=True):
        for name, tensor in one.tensors().items():
            assert one.kind in ("residual", "activation") or np.array_equal(tensor, other.tensors()[name])


def test_settling_twice_changes_nothing() -> None:
    module = with_biases_everywhere()
    settle(module, FRONT_END)
    once = copy.deepcopy(module.state_dict())
    settle(module, FRONT_END)
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, once[name])


def test_a_module_that_cannot_be_cut_is_refused() -> None:
    with pytest.raises(NetworkError, match="cannot be cut"):
        settle(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), FRONT_END)


def test_another_network_is_noticed(trained: TrainedNetwork, phantoms: Dataset) -> None:
    assert check_agreement(trained.module, trained.network, behind(phantoms.images)) == 0
    last = trained.network.layers[-1]
    assert isinstance(last, Linear)
    shifted = dataclasses.replace(last, bias=last.bias[::-1], weight=last.weight[::-1])
    boundaries = (*trained.network.boundaries[:-1], dataclasses.replace(trained.network.boundaries[-1]))
    other = dataclasses.replace(trained.network, layers=(*trained.network.layers[:-1], shifted), boundaries=boundaries)
    with pytest.raises(NetworkError, match=r"'tiny' differs from the trained one on \d+\.\d% of 800 regions"):
        check_agreement(trained.module, other, behind(phantoms.images))
