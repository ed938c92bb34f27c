"""The integer program of a Brevitas network is that network, or the network is refused with every reason."""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from brevitas import nn as qnn
from brevitas.quant import (
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
    Int32Bias,
    ShiftedUint8ActPerTensorFloat,
    ShiftedUint8WeightPerTensorFloat,
    SignedBinaryActPerTensorConst,
    Uint8ActPerTensorFloat,
)
from torch import nn

from cryptml.errors import NetworkError
from cryptml.networks import FloatArray, Network, Standardisation
from cryptml.networks.architectures import reference, tiny
from cryptml.networks.conversion import Stage, convert, largest_difference, read_stages
from cryptml.networks.conversion.settling import settle
from cryptml.networks.conversion.stages import read_branch
from cryptml.networks.modules.blocks import ResidualBlock, activation, convolution, input_grid, linear, value_of
from cryptml.splits import enumerate_splits

SIDE = 8
convert_module = importlib.import_module("cryptml.networks.conversion.convert")  # the package names a function like it
EXACT = 1e-5
Build = Callable[[], nn.Sequential]


def pictures(side: int, count: int = 64, seed: int = 3) -> FloatArray:
    return np.random.default_rng(seed).random((count, side, side), dtype=np.float32)


def warmed(build: Build, side: int = SIDE) -> nn.Sequential:
    """Return a random network whose scales and statistics have seen a few batches."""
    torch.manual_seed(0)
    module = build().train()
    front_end = Standardisation(side)
    with torch.no_grad():
        for step in range(4):
            module(torch.from_numpy(front_end.apply(pictures(side, 32, 100 + step))))
    return module.eval()


def converted(module: nn.Sequential, side: int = SIDE) -> Network:
    return convert(module, name="net", front_end=Standardisation(side), classes=("benign", "malignant"))


def channelwise(inputs: int, outputs: int, kernel: int, *, bias: bool = False, bits: int = 3, **more: Any) -> nn.Module:
    return qnn.QuantConv2d(
        inputs, outputs, kernel, bias=bias, weight_quant=Int8WeightPerChannelFloat, weight_bit_width=bits, **more
    )


def plain_linear(inputs: int, outputs: int, bits: int = 3, **more: object) -> nn.Module:
    options = {"bias": False, "weight_quant": Int8WeightPerTensorFloat, "weight_bit_width": bits} | more
    return qnn.QuantLinear(inputs, outputs, **options)


def signed_grid(bits: int = 3) -> nn.Module:
    return qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat, bit_width=bits, return_quant_tensor=True)


def with_block(shortcut: bool) -> nn.Sequential:
    body = nn.Sequential(
        channelwise(2, 2, 3, padding=1), nn.BatchNorm2d(2), activation(2), channelwise(2, 2, 1), nn.BatchNorm2d(2)
    )
    short = nn.Sequential(channelwise(2, 2, 1), nn.BatchNorm2d(2)) if shortcut else None
    return nn.Sequential(
        OrderedDict(
            grid=input_grid(2),
            conv1=channelwise(1, 2, 2, stride=2),
            act1=activation(2),
            block=ResidualBlock(body, signed_grid(), short),
            act2=activation(2),
            flatten=nn.Flatten(),
            linear=plain_linear(32, 2),
        )
    )


def norm_after_linear() -> nn.Sequential:
    return nn.Sequential(
        input_grid(2),
        nn.Flatten(),
        plain_linear(64, 6, bits=2),
        nn.BatchNorm1d(6),
        activation(3),
        plain_linear(6, 2),
    )


def linear_upon_linear() -> nn.Sequential:
    return nn.Sequential(
        input_grid(2), nn.Flatten(), plain_linear(64, 5, 2), plain_linear(5, 4, 2), plain_linear(4, 2, 2)
    )


def smooth() -> nn.Sequential:
    """Sigmoid, tanh and the maps of one value that a table takes in."""
    return nn.Sequential(
        input_grid(2),
        channelwise(1, 2, 2, stride=2),
        nn.BatchNorm2d(2),
        qnn.QuantSigmoid(bit_width=3, return_quant_tensor=True),
        channelwise(2, 2, 2),
        nn.LeakyReLU(0.2),
        nn.Dropout2d(),
        qnn.QuantTanh(bit_width=3, return_quant_tensor=True),
        channelwise(2, 2, 2),
        nn.SiLU(),
        signed_grid(3),
        nn.Flatten(),
        plain_linear(8, 4, 2),
        nn.ELU(),
        signed_grid(4),
        plain_linear(4, 2),
    )


def pooled_before_the_table() -> nn.Sequential:
    return nn.Sequential(
        input_grid(2),
        channelwise(1, 3, 3, padding=1),
        nn.AvgPool2d(2),
        nn.BatchNorm2d(3),
        activation(2),
        channelwise(3, 3, 3, groups=3),
        nn.AvgPool2d((2, 1), (1, 1)),
        activation(2),
        nn.Flatten(),
        plain_linear(6, 2),
    )


def tables_in_a_row() -> nn.Sequential:
    return nn.Sequential(
        input_grid(3), signed_grid(2), nn.ReLU(), activation(2), nn.AvgPool2d(4), nn.Flatten(), plain_linear(4, 2)
    )


def ends_in_a_table() -> nn.Sequential:
    return nn.Sequential(input_grid(2), nn.Flatten(), plain_linear(64, 2, 2), signed_grid(4))


def known_bias() -> nn.Sequential:
    """A bias that training itself keeps on the accumulator's grid."""
    return nn.Sequential(
        input_grid(2),
        nn.Flatten(),
        plain_linear(64, 4, 2, bias=True, bias_quant=Int32Bias),
        activation(2),
        plain_linear(4, 2, 2),
    )


NO_FLOAT_BIAS = {
    "block, identity shortcut": lambda: with_block(shortcut=False),
    "block, convolved shortcut": lambda: with_block(shortcut=True),
    "norm after linear": norm_after_linear,
    "linear upon linear": linear_upon_linear,
    "smooth": smooth,
    "pooling before the table": pooled_before_the_table,
    "tables in a row": tables_in_a_row,
    "ends in a table": ends_in_a_table,
    "bias on the grid": known_bias,
}


@pytest.mark.parametrize("build", NO_FLOAT_BIAS.values(), ids=NO_FLOAT_BIAS.keys())
def test_without_float_biases_the_integer_program_is_exact(build: Build) -> None:
    module = warmed(build)
    network = converted(module)
    assert largest_difference(module, network, pictures(SIDE)) < EXACT
    assert len(np.unique(network.run(network.quantise(pictures(SIDE))), axis=0)) > 1


def test_a_last_float_bias_moves_a_logit_by_half_a_step_and_settled_by_nothing() -> None:
    module = warmed(tiny.build)
    network = converted(module)
    difference = largest_difference(module, network, pictures(SIDE))
    assert 0 < difference <= max(network.boundaries[-1].scale) / 2 + EXACT
    settle(module, Standardisation(SIDE))
    assert largest_difference(module, converted(module), pictures(SIDE)) < EXACT


def test_the_reference_settled_is_its_integer_program() -> None:
    module = warmed(reference.build, reference.SIDE)
    for each in (module.get_submodule("wave1"), module.get_submodule("wave2")):
        each.advance(1.0)
    settle(module, Standardisation(reference.SIDE))
    network = converted(module, reference.SIDE)
    assert largest_difference(module, network, pictures(reference.SIDE)) < EXACT


def test_converting_twice_and_converting_leave_the_network_as_it_was() -> None:
    module = warmed(tiny.build)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    first, second = converted(module), converted(module)
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    x = first.quantise(pictures(SIDE))
    assert np.array_equal(first.run(x), second.run(x))


@pytest.mark.parametrize("build", [tiny.build, lambda: with_block(shortcut=True)], ids=["tiny", "block"])
def test_every_split_gives_the_unsplit_integers(build: Build) -> None:
    network = converted(warmed(build))
    x = network.quantise(pictures(SIDE, 8))
    expected = network.run(x)
    for split in enumerate_splits(len(network)):
        values = x
        for _, segment in split.segments:
            values = network.run(values, segment)
        assert np.array_equal(values, expected)


def test_scales_per_channel_stay_with_their_channels() -> None:
    network = converted(warmed(pooled_before_the_table))
    convolved, pooled = network.boundaries[1], network.boundaries[2]
    assert len(set(convolved.scale)) == 3
    assert np.allclose(np.array(convolved.scale) / 4, pooled.scale)
    assert pooled.zero == tuple(4 * zero for zero in convolved.zero)


def test_accumulators_before_tables_and_at_the_end_start_at_zero() -> None:
    network = converted(warmed(smooth))
    for index, layer in enumerate(network.layers):
        if layer.kind in ("convolution", "linear"):
            assert network.boundaries[index + 1].low == 0


def test_accumulators_that_a_linear_layer_reads_are_not_shifted() -> None:
    network = converted(warmed(linear_upon_linear))
    assert [boundary.zero for boundary in network.boundaries[1:3]] == [(0,), (0,)]
    assert network.boundaries[3].low == 0


def test_tables_that_agree_are_one() -> None:
    same = converted(warmed(tables_in_a_row)).layers[0]
    apart = converted(warmed(tiny.build)).layers[1]
    assert same.tensors()["table"].shape[0] == 1
    assert apart.tensors()["table"].shape[0] == 2


# Names.


def test_a_plain_sequential_gets_names_that_say_what_they_are() -> None:
    network = converted(warmed(pooled_before_the_table))
    assert [layer.name for layer in network.layers] == [
        *("conv1", "pool1", "act1", "conv2", "pool2", "act2"),
        "linear1",
    ]
    network = converted(warmed(lambda: nn.Sequential(*with_block(shortcut=True).children())))
    assert [layer.name for layer in network.layers] == ["conv1", "act1", "block1", "act2", "linear1"]


def test_a_named_module_keeps_its_name() -> None:
    network = converted(warmed(tiny.build))
    assert [layer.name for layer in network.layers] == ["conv1", "act1", "conv2", "act2", "linear"]


def test_an_activation_takes_in_what_stands_before_it() -> None:
    grid, stages = read_stages(warmed(smooth))
    assert isinstance(grid, qnn.QuantIdentity)
    assert [stage.kind for stage in stages[:2]] == ["convolution", "activation"]
    assert [type(module) for module in stages[1].modules] == [nn.BatchNorm2d, qnn.QuantSigmoid]
    assert isinstance(stages[0], Stage)


# Refusals.


def problems_of(module: nn.Module) -> dict[str, str]:
    """Return reason and replacement by place; read without the pass that settles scales, so that all kinds of module do."""
    with pytest.raises(NetworkError) as caught:
        read_stages(module.eval())
    assert all(str(problem) in str(caught.value) for problem in caught.value.problems)
    found: dict[str, str] = {}
    for problem in caught.value.problems:
        found[problem.where] = f"{found.get(problem.where, '')}{problem.what}; {problem.instead}. "
    return found


def test_all_reasons_come_at_once_each_with_its_replacement() -> None:
    many = nn.Sequential(
        OrderedDict(
            start=nn.Conv2d(1, 2, 3),
            pool=nn.MaxPool2d(2, ceil_mode=True),
            relu=nn.ReLU(),
            own_input=channelwise(2, 2, 2, input_quant=Int8ActPerTensorFloat),
            own_output=channelwise(2, 2, 2, output_quant=Int8ActPerTensorFloat),
            shifted=qnn.QuantIdentity(act_quant=ShiftedUint8ActPerTensorFloat, return_quant_tensor=True),
            scales=qnn.QuantReLU(
                act_quant=Uint8ActPerTensorFloat,
                bit_width=2,
                scaling_per_output_channel=True,
                per_channel_broadcastable_shape=(1, 2, 1, 1),
                scaling_stats_permute_dims=(1, 0, 2, 3),
                return_quant_tensor=True,
            ),
            wide=qnn.QuantReLU(act_quant=Uint8ActPerTensorFloat, bit_width=12, return_quant_tensor=True),
            off=qnn.QuantIdentity(act_quant=None),
            bare=qnn.QuantLinear(2, 2, bias=False, weight_quant=None),
            skewed=qnn.QuantLinear(2, 2, bias=False, weight_quant=ShiftedUint8WeightPerTensorFloat),
            mirrored=channelwise(2, 2, 1, padding_mode="reflect"),
            strided=channelwise(2, 2, 1, padding="same", stride=2),
            adaptive=nn.AdaptiveAvgPool2d(1),
            inner=nn.Sequential(nn.Conv3d(1, 1, 1)),
            layer_norm=nn.LayerNorm(2),
            soft=nn.Softmax(1),
            odd=nn.PixelShuffle(2),
            dense=nn.Linear(2, 2),
            loose=nn.BatchNorm2d(2),
            trailing=nn.AvgPool2d(2, padding=1),
        )
    )
    many.shifted.train()
    with torch.no_grad():
        many.shifted(torch.linspace(-1, 3, 64).reshape(1, 1, 8, 8))
    found = problems_of(many)
    expected = {
        "start (Conv2d)": ["does not begin with its input grid", "begin with brevitas", "use brevitas.nn.QuantConv2d"],
        "pool (MaxPool2d)": ["ceil_mode", "pool whole windows only"],
        "relu (ReLU)": ["no quantised activation follows it", "follow it with brevitas.nn.QuantReLU"],
        "own_input (QuantConv2d)": [
            "its own input_quant rounds what the layer reads",
            "QuantIdentity with that quantiser in front of",
        ],
        "own_output (QuantConv2d)": ["its own output_quant rounds what the layer gives", "with that quantiser behind"],
        "shifted (QuantIdentity)": ["its zero point is", "use a symmetric quantiser"],
        "scales (QuantReLU)": ["it has 2 scales", "one scale for the whole tensor"],
        "wide (QuantReLU)": ["12 bits wide", "use 1 to 8 bits"],
        "off (QuantIdentity)": ["its quantiser is off", "give it an act_quant"],
        "bare (QuantLinear)": ["weights are not quantised", "give it a weight_quant"],
        "skewed (QuantLinear)": ["weights have a zero point", "use a symmetric weight quantiser"],
        "mirrored (QuantConv2d)": ["mode 'reflect'", "pad with zeros"],
        "strided (QuantConv2d)": ["depend on the size of its input", "write the padding as a number"],
        "adaptive (AdaptiveAvgPool2d)": ["its windows are not whole", "the window written out"],
        "inner_0 (Conv3d)": ["no integer form", "QuantConv2d"],
        "layer_norm (LayerNorm)": ["no integer form", "use torch.nn.BatchNorm2d"],
        "soft (Softmax)": ["no integer form", "leave it out"],
        "odd (PixelShuffle)": ["no integer form", "QuantConv2d, QuantHardTanh"],
        "dense (Linear)": ["no integer form", "use brevitas.nn.QuantLinear"],
        "loose (BatchNorm2d)": ["no quantised activation follows it", "whose table takes it in"],
        "trailing (AvgPool2d)": ["padding, ceil_mode or divisor_override is set", "pool whole windows only"],
        "trailing": ["the network ends in pooling", "end with one value a class"],
    }
    assert expected.keys() == found.keys()
    for where, parts in expected.items():
        assert all(part in found[where] for part in parts), (where, found[where])


def test_a_float_convolution_is_named_as_such_behind_an_input_grid() -> None:
    found = problems_of(nn.Sequential(input_grid(2), nn.Conv2d(1, 2, 3), nn.ReLU()))
    assert "use brevitas.nn.QuantConv2d" in found["1 (Conv2d)"]
    assert "2 (ReLU)" in found


def test_faults_inside_a_block_are_found() -> None:
    block = ResidualBlock(
        nn.Sequential(nn.Conv3d(1, 1, 1), nn.ReLU()), nn.Identity(), nn.Sequential(nn.Conv2d(1, 1, 1))
    )
    found = problems_of(nn.Sequential(input_grid(2), block))
    assert found.keys() == {"1.0 (Conv3d)", "1.1 (ReLU)", "1.0 (Conv2d)", "1.grid (Identity)"}
    assert "does not end on an integer grid; use brevitas.nn.QuantIdentity" in found["1.grid (Identity)"]


def test_a_blocks_grid_is_judged_once_for_both_branches() -> None:
    grid = qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat, bit_width=12)
    module = nn.Sequential(input_grid(2), ResidualBlock(nn.Sequential(nn.BatchNorm2d(1)), grid))
    with pytest.raises(NetworkError) as caught:
        read_stages(module.eval())
    assert [problem.where for problem in caught.value.problems] == ["1.grid (QuantIdentity)"]


def test_what_is_no_sequence_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"is a ReLU; write it as one torch\.nn\.Sequential"):
        read_stages(nn.ReLU())


def test_an_empty_network_is_refused() -> None:
    assert "begin with" in problems_of(nn.Sequential())["network"]
    assert "no layer after the input grid; add layers" in problems_of(nn.Sequential(input_grid(2)))["network"]


@pytest.mark.parametrize("name", ["conv 1", "é", "x" * 65, "a/b"])
def test_a_name_that_no_file_may_hold_is_refused(name: str) -> None:
    module = nn.Sequential(OrderedDict([("grid", input_grid(2)), (name, linear(4, 2, bits=2))]))
    assert "cannot be written to a file; use 1 to 64 of" in problems_of(module)[f"layer {name!r}"]


def refusal(module: nn.Sequential, side: int = SIDE) -> NetworkError:
    with pytest.raises(NetworkError) as caught:
        converted(module, side)
    return caught.value


def test_accumulators_too_wide_for_a_table_are_refused_with_their_width() -> None:
    module = nn.Sequential(input_grid(8), nn.Flatten(), plain_linear(64, 2, bits=8), activation(2), plain_linear(2, 2))
    error = refusal(warmed(lambda: module))
    assert [problem.where for problem in error.problems] == ["act1"]
    assert "bits where a table of Concrete has 16 at most; put a RoundedAccumulator behind its" in str(error)
    width = int(str(error).split("its input needs ")[1].split()[0])
    assert 17 <= width <= 8 + 8 + 6


def test_a_wide_last_accumulator_is_nobodys_table() -> None:
    module = warmed(lambda: nn.Sequential(input_grid(8), nn.Flatten(), plain_linear(64, 2, bits=8)))
    network = converted(module)
    assert network.boundaries[-1].bits > 16
    step = max(network.boundaries[-1].scale)
    assert largest_difference(module, network, pictures(SIDE)) < max(EXACT, step / 2)


def test_a_scale_a_channel_before_another_linear_layer_is_refused() -> None:
    first = plain_linear(64, 3, 2, weight_quant=Int8WeightPerChannelFloat)
    error = refusal(warmed(lambda: nn.Sequential(input_grid(2), nn.Flatten(), first, plain_linear(3, 2, 2))))
    assert [problem.where for problem in error.problems] == ["linear2"]
    assert "scale a channel; put an activation between them" in str(error)


def test_a_branch_that_names_two_layers_alike_is_refused() -> None:
    error = refusal(
        nn.Sequential(
            input_grid(2),
            convolution(1, 2, 2, stride=2, bits=2),
            activation(2),
            ResidualBlock(nn.Sequential(OrderedDict(grid=activation(2))), signed_grid()),
            nn.Flatten(),
            plain_linear(32, 2),
        )
    )
    assert [problem.where for problem in error.problems] == ["block1"]
    assert "names layers of its body twice: grid" in str(error)


def test_branches_on_two_grids_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = warmed(lambda: with_block(shortcut=True))
    other = warmed(lambda: nn.Sequential(signed_grid(4)))[0]
    monkeypatch.setattr(
        convert_module,
        "read_branch",
        lambda block, name, shape: (
            read_branch(block, name, shape) if name == "body" else (Stage("activation", "other", (other,)),)
        ),
    )
    error = refusal(module)
    assert [problem.where for problem in error.problems] == ["block"]
    assert "adds two grids; end both branches with one quantiser" in str(error)


def test_branches_of_two_shapes_are_refused() -> None:
    block = ResidualBlock(nn.Sequential(channelwise(2, 2, 3)), signed_grid())
    module = nn.Sequential(input_grid(2), channelwise(1, 2, 2, stride=2), activation(2), block)

    class Lenient(ResidualBlock):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return value_of(self.grid(self.shortcut(x)))

    block.__class__ = Lenient
    assert "adds (2, 2, 2) and (2, 4, 4); both branches must end in one shape" in str(refusal(module))


def test_a_table_across_flatten_is_refused() -> None:
    module = nn.Sequential(
        input_grid(2),
        convolution(1, 4, 4, stride=4, bits=2),
        nn.Flatten(),
        nn.BatchNorm1d(16),
        activation(2),
        plain_linear(16, 2),
    )
    error = refusal(warmed(lambda: module))
    assert [problem.where for problem in error.problems] == ["act1"]
    assert "put Flatten after the activation" in str(error)


def rounding_down() -> nn.Module:
    return qnn.QuantIdentity(
        act_quant=Int8ActPerTensorFloat, bit_width=3, float_to_int_impl_type="FLOOR", return_quant_tensor=True
    )


def binary() -> nn.Module:
    return qnn.QuantIdentity(act_quant=SignedBinaryActPerTensorConst, scaling_init=1.0, return_quant_tensor=True)


@pytest.mark.parametrize("grid", [rounding_down, binary])
def test_an_input_grid_that_does_not_round_to_the_nearest_is_refused(grid: Callable[[], nn.Module]) -> None:
    error = refusal(warmed(lambda: nn.Sequential(grid(), nn.Flatten(), plain_linear(64, 2))))
    assert "input grid: it does not round to the nearest" in str(error)
    assert "use Int8ActPerTensorFloat" in str(error)


def test_layers_that_do_not_fit_in_size_are_refused() -> None:
    module = nn.Sequential(
        OrderedDict(
            grid=input_grid(2), conv=convolution(1, 2, 4, stride=4, bits=2), act=activation(2), end=linear(2, 2, bits=2)
        )
    )
    error = refusal(warmed(lambda: module))
    assert [problem.where for problem in error.problems] == ["end (QuantLinear)"]
    assert "it reads a tensor of shape (2, 2, 2); put torch.nn.Flatten in front of it" in str(error)


def test_a_network_that_ends_in_a_picture_is_refused() -> None:
    module = nn.Sequential(input_grid(2), convolution(1, 2, 7, bits=2))
    assert "ends in shape (2, 2, 2) for 2 classes" in str(refusal(module))


def test_the_largest_difference_sees_another_network() -> None:
    module = warmed(tiny.build)
    network = converted(module)
    with torch.no_grad():
        module.linear.bias += 3
    assert largest_difference(module, network, pictures(SIDE)) == pytest.approx(
        3, abs=max(network.boundaries[-1].scale)
    )
