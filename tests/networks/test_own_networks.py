"""Networks as people write them: followed, read and converted to the integers that they compute, or refused with a replacement."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from brevitas import nn as qnn
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat, Int32Bias
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from cryptml.errors import NetworkError
from cryptml.networks import Network, Standardisation, Views
from cryptml.networks.architectures.registry import Architecture, load_architecture
from cryptml.networks.conversion import read_stages
from cryptml.networks.front_ends import restore_front_end
from cryptml.networks.modules import ResidualBlock, RoundedAccumulator
from cryptml.networks.sequences import as_sequential
from cryptml.networks.sequences.probing import why_no_table
from cryptml.splits import Segment
from cryptml.training import check_convertible

SIDE = 8
Build = Callable[[int], nn.Module]


def grid(bits: int = 4) -> nn.Module:
    return qnn.QuantIdentity(bit_width=bits, return_quant_tensor=True)


def relu(bits: int = 3) -> nn.Module:
    return qnn.QuantReLU(bit_width=bits, return_quant_tensor=True)


def conv(inputs: int, outputs: int, kernel: int | tuple[int, int], **more: Any) -> nn.Module:
    return qnn.QuantConv2d(inputs, outputs, kernel, **({"bias": False, "weight_bit_width": 3} | more))


def row(inputs: int, outputs: int, kernel: int, **more: Any) -> nn.Module:
    return qnn.QuantConv1d(inputs, outputs, kernel, **({"bias": False, "weight_bit_width": 3} | more))


def dense(inputs: int, outputs: int, **more: Any) -> nn.Module:
    return qnn.QuantLinear(inputs, outputs, bias=True, weight_bit_width=3, **more)


def converted(build: Build) -> Network:
    """Convert an untrained network as a training does first, which compares it with its module layer by layer."""
    spec = "own"

    def built(classes: int) -> nn.Sequential:
        module = sys.modules[__name__]
        module.own = build  # type: ignore[attr-defined]
        return load_architecture(f"{__name__}:{spec}").build(classes)

    return check_convertible(Architecture(spec, Standardisation(SIDE), built), ("a", "b"))


def kinds(network: Network) -> list[str]:
    return [layer.kind for layer in network.layers]


class Swish(nn.Module):
    """A user's own, with a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(1.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.beta * x)


class Leaky(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, x, 0.1 * x)


class OwnResidual(nn.Module):
    """A residual block as it is written everywhere."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.grid = grid(3)

    def forward(self, x: torch.Tensor) -> Any:
        return self.grid(self.norm(self.conv(x))) + self.grid(x)


class Noise(nn.Module):
    """Does something in training alone."""

    def forward(self, x: Any) -> Any:
        return x + torch.randn_like(x) if self.training else x


class OwnLogit(nn.Module):
    """One number a picture."""

    def __init__(self, _classes: int) -> None:
        super().__init__()
        self.grid, self.fc = grid(), dense(64, 1)

    def forward(self, x: torch.Tensor) -> Any:
        return self.fc(self.grid(x).flatten(1)).squeeze(1)


class OwnNetwork(nn.Module):
    """A network that is no Sequential, with functions, a parameter and a shape of the batch."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.grid = grid()
        self.features = nn.Sequential(conv(1, 4, 3), nn.BatchNorm2d(4))
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, 4).reshape(1, 4, 1, 1))
        self.act = relu()
        self.fc = dense(36, classes)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.features(self.grid(x)) * self.scale
        x = nn.functional.max_pool2d(self.act(torch.relu(x)), 2)
        return self.fc(x.view(x.size(0), -1))


def shared_activation(classes: int) -> nn.Module:
    act = relu()
    return nn.Sequential(grid(), conv(1, 4, 3), act, conv(4, 4, 3), act, nn.Flatten(), dense(64, classes))


def pruned(classes: int) -> nn.Module:
    net = nn.Sequential(grid(), conv(1, 4, 3), relu(), nn.Flatten(), dense(144, classes))
    prune.l1_unstructured(net[1], "weight", 0.5)
    return net


def end(features: int, classes: int) -> tuple[nn.Module, nn.Module]:
    return nn.Flatten(), dense(features, classes)


BUILT: dict[str, Build] = {
    "three convolutions": lambda c: nn.Sequential(
        *(grid(), conv(1, 4, 3, stride=2), nn.BatchNorm2d(4), relu(4)),
        *(conv(4, 4, 2), nn.BatchNorm2d(4), relu(4), conv(4, 4, 2), nn.BatchNorm2d(4), relu(4), *end(4, c)),
    ),
    "same padding, strided": lambda c: nn.Sequential(
        grid(), conv(1, 4, 3, stride=2, padding="same"), relu(), *end(64, c)
    ),
    "same padding, even kernel": lambda c: nn.Sequential(grid(), conv(1, 2, 2, padding="same"), relu(), *end(128, c)),
    "same padding, strided row": lambda c: nn.Sequential(
        grid(), nn.Flatten(1, 2), row(8, 4, 4, stride=3, padding="same"), relu(), *end(12, c)
    ),
    "dilation": lambda c: nn.Sequential(grid(), conv(1, 4, (3, 2), dilation=(2, 3), stride=2), relu(), *end(24, c)),
    "zeros at one end": lambda c: nn.Sequential(
        grid(), nn.ZeroPad2d((1, 0, 2, 0)), conv(1, 2, 3, padding=1), relu(), *end(180, c)
    ),
    "depthwise": lambda c: nn.Sequential(
        *(
            grid(),
            conv(1, 4, 3),
            relu(),
            conv(4, 4, 3, groups=4),
            nn.ReLU6(),
            grid(),
            conv(4, 2, 1),
            relu(),
            *end(32, c),
        )
    ),
    "max pooling": lambda c: nn.Sequential(grid(), conv(1, 4, 3), relu(), nn.MaxPool2d(2), *end(36, c)),
    "max pooling before the table": lambda c: nn.Sequential(
        grid(), conv(1, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(3, 2, padding=1), nn.ReLU(), relu(), *end(36, c)
    ),
    "max pooling of signed values": lambda c: nn.Sequential(
        grid(3), nn.MaxPool2d(3, 2, padding=1), conv(1, 2, 2), relu(), *end(18, c)
    ),
    "average behind the norm": lambda c: nn.Sequential(
        grid(), conv(1, 4, 3), nn.BatchNorm2d(4), nn.AvgPool2d(2), relu(), *end(36, c)
    ),
    "global average": lambda c: nn.Sequential(grid(), conv(1, 4, 3), relu(), nn.AdaptiveAvgPool2d(1), *end(4, c)),
    "rows": lambda c: nn.Sequential(
        *(nn.Flatten(1, 2), grid(), row(8, 4, 3, bias=True), nn.BatchNorm1d(4), relu(), nn.MaxPool1d(2)),
        *(row(4, 3, 2), relu(), nn.AvgPool1d(2), *end(3, c)),
    ),
    "one long row": lambda c: nn.Sequential(
        nn.Flatten(2), grid(), row(1, 3, 5, stride=3, dilation=2), relu(), *end(57, c)
    ),
    "nested": lambda c: nn.Sequential(
        nn.Sequential(grid(), nn.Sequential(conv(1, 4, 3), nn.BatchNorm2d(4), relu())), nn.Sequential(*end(144, c))
    ),
    "an activation twice": shared_activation,
    "public residual block": lambda c: nn.Sequential(
        grid(),
        conv(1, 4, 3),
        relu(),
        ResidualBlock(nn.Sequential(conv(4, 4, 3, padding=1)), grid(3)),
        relu(),
        *end(144, c),
    ),
    "own residual block": lambda c: nn.Sequential(grid(), conv(1, 4, 3), relu(), OwnResidual(4), relu(), *end(144, c)),
    "own functions": lambda c: nn.Sequential(
        *(grid(), conv(1, 4, 3), Swish(), grid(), conv(4, 4, 3), Leaky(), nn.PReLU(4), relu(), *end(64, c))
    ),
    "no Sequential": OwnNetwork,
    "single logit": lambda c: nn.Sequential(grid(), nn.Flatten(), dense(64, 6), relu(), dense(6, 1)),
    "a single logit without an axis": OwnLogit,
    "what works in training alone": lambda c: nn.Sequential(
        grid(), Noise(), conv(1, 4, 3), relu(), Noise(), *end(144, c)
    ),
    "ends in a convolution": lambda c: nn.Sequential(grid(), conv(1, 4, 3), relu(), conv(4, c, 6), nn.Flatten()),
    "ends in an average": lambda c: nn.Sequential(
        grid(), conv(1, 4, 3), relu(), conv(4, c, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ),
    "pruned": pruned,
    "rounded behind an average": lambda c: nn.Sequential(
        *(grid(), conv(1, 4, 3, bias=True), nn.AvgPool2d(2), RoundedAccumulator(4, bits=4), relu(), *end(36, c))
    ),
}


@pytest.mark.parametrize("build", BUILT.values(), ids=BUILT.keys())
def test_ordinary_networks_are_the_integers_that_they_compute(build: Build) -> None:
    network = converted(build)
    pictures = np.random.default_rng(0).random((16, SIDE, SIDE), dtype=np.float32)
    assert len(np.unique(network.run(network.quantise(pictures)), axis=0)) > 1


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_convolution_that_torch_computes_is_its_integers(data: st.DataObject) -> None:
    """Kernel, stride, dilation, padding, groups and axes in any combination; the conversion compares both layer by layer."""
    one_axis = data.draw(st.booleans())
    numbers = st.integers(1, 3)
    kernel = data.draw(numbers if one_axis else st.tuples(numbers, numbers))
    stride = data.draw(numbers if one_axis else st.just(data.draw(numbers)))
    dilation = data.draw(numbers if one_axis else st.tuples(numbers, numbers))
    padding = data.draw(st.sampled_from(["same", 0, 1, 2]))
    groups = data.draw(st.sampled_from([1, 2]))
    kind = qnn.QuantConv1d if one_axis else qnn.QuantConv2d
    more = {"stride": stride, "dilation": dilation, "padding": padding, "groups": groups}
    layer = kind(8 if one_axis else 2, 4, kernel, bias=False, weight_bit_width=3, **more)
    first = [nn.Flatten(1, 2), grid(3)] if one_axis else [grid(3), conv(1, 2, 1), relu()]
    parts = [*first, layer, relu()]
    with torch.no_grad():
        shape = nn.Sequential(*parts).train()(torch.randn(4, 1, SIDE, SIDE)).shape
    network = converted(lambda c: nn.Sequential(*parts, *end(int(np.prod(shape[1:])), c)))
    assert int(np.prod(network.boundaries[-2].shape)) == int(np.prod(shape[1:]))


def test_a_single_logit_becomes_two_that_add_up_to_nothing() -> None:
    network = converted(BUILT["single logit"])
    logits = network.logits(np.random.default_rng(0).random((8, SIDE, SIDE), dtype=np.float32))
    assert np.allclose(logits.sum(1), 0, atol=1e-6)
    assert np.ptp(logits[:, 1]) > 0


def test_a_pooling_in_front_of_a_table_is_computed_behind_it() -> None:
    network = converted(BUILT["max pooling before the table"])
    assert kinds(network) == ["convolution", "activation", "maximum", "linear"]
    maximum = network.layers[2]
    assert maximum.table_bits(network.boundaries[2].extent()) == 4  # a difference of 3-bit values
    assert (
        network.bootstraps(Segment(2, 3))
        == maximum.bootstraps(network.boundaries[2].extent())
        == 4 * 3 * (8 * 2 + 3 * 2)
    )


def test_several_views_are_channels() -> None:
    front_end = Views(2 * SIDE)
    assert front_end.shape == (4, SIDE, SIDE)
    architecture = Architecture(
        "own", front_end, lambda c: nn.Sequential(grid(), conv(4, 3, 3, stride=2), relu(), *end(27, c))
    )
    network = check_convertible(architecture, ("a", "b"))
    regions = np.random.default_rng(0).random((5, 2 * SIDE, 2 * SIDE), dtype=np.float32)
    logits = network.logits(regions)
    swapped = regions[:, :, [*range(SIDE, 2 * SIDE), *range(SIDE)]]  # left and right views change places
    assert len(np.unique(logits, axis=0)) == 5
    assert not np.array_equal(network.logits(swapped), logits)


@pytest.mark.parametrize("across", [1, 2, 4])
def test_each_view_is_standardised_by_itself(across: int) -> None:
    regions = np.random.default_rng(0).random((3, 8, 8), dtype=np.float32)
    front_end = Views(8, across)
    found = front_end.apply(regions)
    length = 8 // across
    for row in range(across):
        for column in range(across):
            square = regions[:, row * length : (row + 1) * length, column * length : (column + 1) * length]
            expected = Standardisation(length).apply(np.ascontiguousarray(square))[:, 0]
            np.testing.assert_array_equal(found[:, row * across + column], expected)
    assert restore_front_end(front_end.to_json()) == front_end


@pytest.mark.parametrize(("side", "across"), [(8, 0), (8, 9), (9, 2), (0, 2), (8192, 2)])
def test_views_that_cannot_be_are_refused(side: int, across: int) -> None:
    with pytest.raises(NetworkError):
        Views(side, across)
    with pytest.raises(NetworkError, match="do not fit"):
        Views(8).apply(np.zeros((1, 4, 4), np.float32))


class Hostile(nn.Module):
    """Looks harmless, and mixes what it must not."""

    def __init__(self, function: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(getattr(x, "value", x))


def _raise(error: BaseException) -> Any:
    raise error


NO_TABLES: dict[str, tuple[Callable[[torch.Tensor], Any], str]] = {
    "centred": (lambda x: x - x.mean(), "more than one value"),
    "scaled by the largest": (lambda x: x / x.abs().max(), "more than one value"),
    "of its neighbour": (lambda x: x + x.roll(1, -1), "more than one value"),
    "sorted": (lambda x: x.flatten(1).sort(1).values.reshape(x.shape), "more than one value"),
    "by place": (lambda x: x * torch.arange(x.shape[-1]), "places of one channel differently"),
    "of another picture": (lambda x: x.flip(0), "more than one value"),
    "random": (lambda x: x + torch.rand_like(x), "another result the second time"),
    "smaller": (lambda x: x[..., :1], "it makes"),
    "a list": (lambda x: [x], "it makes list"),
    "no number": (torch.log, "no finite number"),
    "a KeyError": (lambda x: _raise(KeyError(3)), "KeyError: 3"),
    "an exit": (lambda x: _raise(SystemExit(3)), "SystemExit: 3"),
}


@pytest.mark.parametrize(("function", "reason"), NO_TABLES.values(), ids=NO_TABLES.keys())
def test_what_is_no_table_is_known_by_probing(function: Callable[[torch.Tensor], Any], reason: str) -> None:
    assert reason in (why_no_table(Hostile(function), (2, 6, 6)) or "")


@settings(max_examples=25, deadline=None)
@given(
    slope=st.floats(-2, 2), offset=st.floats(-3, 3), shape=st.sampled_from([(1,), (5,), (3, 7), (2, 6, 6), (1, 1, 9)])
)
def test_any_function_of_one_value_is_a_table_whatever_its_shape(
    slope: float, offset: float, shape: tuple[int, ...]
) -> None:
    channels = torch.linspace(-1, 1, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    assert why_no_table(Hostile(lambda x: torch.sin(slope * x + offset) * channels), shape) is None


REFUSED: dict[str, tuple[Build, str]] = {
    "own input_quant": (
        lambda c: nn.Sequential(grid(), nn.Flatten(), dense(64, c, input_quant=Int8ActPerTensorFloat)),
        "its own input_quant rounds what the layer reads; leave input_quant out, and put a brevitas.nn.QuantIdentity",
    ),
    "own output_quant": (
        lambda c: nn.Sequential(grid(), conv(1, 4, 3, output_quant=Int8ActPerTensorFloat), relu(), *end(144, c)),
        "1 (QuantConv2d): its own output_quant",
    ),
    "a hook": (
        lambda c: _hooked(nn.Sequential(grid(), conv(1, 4, 3), relu(), *end(144, c))),
        "conv1 (QuantConv2d): its result differs from that of its integers on",
    ),
    "a raising function": (lambda c: _raise(KeyError(3)), "cannot be built (KeyError: 3); name a function"),
    "an exit": (lambda c: sys.exit(3), "cannot be built (SystemExit: 3)"),
    "nothing": (lambda c: cast(nn.Module, None), "returns a NoneType"),
    "a module that raises": (
        lambda c: nn.Sequential(grid(), Hostile(lambda x: _raise(ZeroDivisionError("by nought"))), *end(64, c)),
        "1 (Hostile): this kind of module has no integer form",
    ),
    "Int32Bias without a scale": (
        lambda c: nn.Sequential(qnn.QuantIdentity(bit_width=4), nn.Flatten(), dense(64, c, bias_quant=Int32Bias)),
        "Input scale required)); let the activation in front of it return its grid (return_quant_tensor=True)",
    ),
    "an attribute of quantised tensors": (
        lambda c: nn.Sequential(grid(), nn.Flatten(2), nn.Unflatten(2, (8, 8)), *end(64, c)),
        "2 (Unflatten): it does not take values of shape (1, 64) (AttributeError: 'QuantTensor' object has no attribute",
    ),
    "two grids added": (
        lambda c: nn.Sequential(_TwoGrids(), *end(64, c)),
        "send both through the same brevitas.nn.QuantIdentity before they are added",
    ),
    "a condition": (lambda c: nn.Sequential(_Undecided(), *end(64, c)), "cannot be followed (TraceError: symbolically"),
    "a concatenation": (
        lambda c: nn.Sequential(_Joined(), *end(128, c)),
        "0_cat (FunctionStep): this kind of module has no integer form",
    ),
    "statistics": (
        lambda c: nn.Sequential(grid(), conv(1, 4, 3), nn.LayerNorm([4, 6, 6]), relu(), *end(144, c)),
        "use torch.nn.BatchNorm2d: statistics of an encrypted tensor are out of reach",
    ),
    "a linear layer on maps": (
        lambda c: nn.Sequential(grid(), dense(8, c)),
        "it reads a tensor of shape (1, 8, 8); put torch.nn.Flatten in front of it",
    ),
    "a falling function behind a maximum": (
        lambda c: nn.Sequential(grid(), conv(1, 4, 3), nn.MaxPool2d(2), nn.BatchNorm2d(4), relu(), *end(36, c)),
        "put the pooling behind the quantised activation",
    ),
    "windows that are not whole": (
        lambda c: nn.Sequential(grid(), nn.AdaptiveAvgPool2d(3), *end(9, c)),
        "use torch.nn.AvgPool2d with the window written out",
    ),
    "a tied bias": (
        lambda c: _twice(conv(1, 1, 3, bias=True), c),
        "it is used twice and has a bias, which cannot stand on the grids of both accumulators; give it bias=False",
    ),
    "three logits": (lambda c: nn.Sequential(grid(), nn.Flatten(), dense(64, 3)), "ends in shape (3,) for 2 classes"),
    "probabilities": (
        lambda c: nn.Sequential(grid(), nn.Flatten(), dense(64, c), nn.Softmax(1)),
        "leave it out: the client applies it to the decrypted logits",
    ),
}


def _hooked(net: nn.Sequential) -> nn.Sequential:
    net[1].register_forward_hook(lambda module, inputs, output: 2 * output)
    return net


def _twice(layer: nn.Module, classes: int) -> nn.Module:
    return nn.Sequential(grid(), layer, relu(), layer, relu(), *end(16, classes))


class _TwoGrids(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.start, self.one, self.other = grid(), grid(3), grid(2)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.start(x)
        return self.one(x) + self.other(x)


class _Undecided(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.grid = grid()

    def forward(self, x: torch.Tensor) -> Any:
        return self.grid(x) if x.sum() > 0 else self.grid(-x)


class _Joined(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.grid = grid()

    def forward(self, x: torch.Tensor) -> Any:
        x = self.grid(x)
        return torch.cat([x, x], 1)


@pytest.mark.parametrize(("build", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused_with_its_replacement(build: Build, said: str) -> None:
    with pytest.raises(NetworkError) as caught:
        converted(build)
    assert said in str(caught.value)


def test_a_maximum_without_a_size_is_read_and_a_strided_same_padding_is_not() -> None:
    net = nn.Sequential(grid(), conv(1, 4, 3, stride=2, padding="same"), relu(), nn.MaxPool2d(2), *end(16, 2))
    with torch.no_grad():
        net.train()(torch.randn(8, 1, SIDE, SIDE))
    with pytest.raises(NetworkError, match="depend on the size of its input, which is not known here"):
        read_stages(net.eval())
    _, stages = read_stages(net, (1, SIDE, SIDE))
    assert [stage.kind for stage in stages] == ["convolution", "activation", "maximum", "linear"]


def test_a_flat_sequential_stays_itself_and_a_followed_module_keeps_its_parameters() -> None:
    flat = nn.Sequential(grid(), nn.Flatten(), dense(64, 2))
    assert as_sequential(flat) is flat
    own = OwnNetwork(2).eval()
    followed = as_sequential(own).eval()
    assert {id(each) for each in followed.parameters()} == {id(each) for each in own.parameters()}
    x = torch.randn(4, 1, SIDE, SIDE)
    with torch.no_grad():
        torch.testing.assert_close(getattr(followed(x), "value", followed(x)), getattr(own(x), "value", own(x)))


def test_weights_a_channel_may_read_a_scale_that_is_the_same_for_all() -> None:
    one = qnn.QuantConv2d(1, 2, 3, bias=False, weight_quant=Int8WeightPerChannelFloat, weight_bit_width=3)
    assert kinds(converted(lambda c: nn.Sequential(grid(), one, relu(), *end(72, c))))[0] == "convolution"
