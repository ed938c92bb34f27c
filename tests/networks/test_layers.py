"""Each layer on NumPy integers against torch, and its worst case against what really occurs."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from cryptml.errors import NetworkError
from cryptml.networks import Extent, IntArray, layers
from cryptml.networks.layers import (
    LAYER_KINDS,
    MAX_TABLE_BITS,
    Activation,
    Convolution,
    Layer,
    Linear,
    MaxPooling,
    Residual,
    SumPooling,
    restore_layer,
    run_all,
)
from cryptml.networks.operations import NumpyOperations
from tests.networks.network_samples import inside, layers_of_all_kinds

modest = settings(max_examples=60, deadline=None)


def run(layer: Layer, x: IntArray, extent: Extent) -> IntArray:
    return run_all((layer,), x, extent, NumpyOperations())


def doubles(x: IntArray) -> torch.Tensor:
    return torch.from_numpy(x.astype(np.float64))


@st.composite
def extents_of(draw: st.DrawFn, shape: tuple[int, ...]) -> Extent:
    low = np.array(draw(st.lists(st.integers(-9, 9), min_size=shape[0], max_size=shape[0])))
    width = np.array(draw(st.lists(st.integers(0, 9), min_size=shape[0], max_size=shape[0])))
    return Extent(shape, low, low + width)


@st.composite
def convolutions(draw: st.DrawFn, *, padded: bool = True) -> tuple[Convolution, Extent]:
    groups, inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2))) if padded else (0, 0)
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    weight = random.integers(-5, 6, (groups * outputs, inputs, *kernel))
    layer = Convolution("conv", weight, random.integers(-50, 50, len(weight)), stride, padding, groups)
    shape = (groups * inputs, draw(st.integers(kernel[0], 6)), draw(st.integers(kernel[1], 6)))
    return layer, draw(extents_of(shape))


@st.composite
def linears(draw: st.DrawFn) -> tuple[Linear, Extent]:
    shape = draw(st.sampled_from([(3,), (7,), (2, 2, 3)]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    weight = random.integers(-5, 6, (draw(st.integers(1, 4)), int(np.prod(shape))))
    return Linear("linear", weight, random.integers(-50, 50, len(weight))), draw(extents_of(shape))


@st.composite
def poolings(draw: st.DrawFn) -> tuple[SumPooling, Extent]:
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    shape = (draw(st.integers(1, 3)), draw(st.integers(kernel[0], 6)), draw(st.integers(kernel[1], 6)))
    return SumPooling("pool", kernel, stride), draw(extents_of(shape))


@st.composite
def activations(draw: st.DrawFn) -> tuple[Activation, Extent]:
    channels = draw(st.integers(1, 4))
    extent = draw(extents_of((channels, *draw(st.sampled_from([(), (2, 2)])))))
    low = int(extent.low.min()) - draw(st.integers(0, 3))
    entries = int(extent.high.max()) - low + 1 + draw(st.integers(0, 3))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = draw(st.sampled_from([1, channels]))
    return Activation("act", random.integers(-8, 8, (rows, entries)), low), extent


@st.composite
def residuals(draw: st.DrawFn) -> tuple[Residual, Extent]:
    seed = draw(st.integers(0, 2**32))
    random = np.random.default_rng(seed)
    extent = draw(extents_of((2, 3, 3)))
    body = (
        Convolution("conv", random.integers(-2, 3, (2, 2, 3, 3)), random.integers(-2, 3, 2), padding=(1, 1)),
        Activation("act", random.integers(-3, 4, (2, 2001)), -1000),
    )
    shortcut = draw(st.sampled_from([(), (Activation("act", random.integers(-3, 4, (1, 41)), -20),)]))
    return Residual("block", body, shortcut), extent


any_layer = st.one_of(convolutions(), linears(), poolings(), activations(), residuals())


@modest
@given(convolutions())
def test_convolution_is_that_of_torch(pair: tuple[Convolution, Extent]) -> None:
    layer, extent = pair
    x = inside(extent, 3)
    expected = functional.conv2d(
        doubles(x), doubles(layer.weight), doubles(layer.bias), layer.stride, layer.padding, 1, layer.groups
    )
    found = run(layer, x, extent)
    assert found.dtype == np.int64
    assert np.array_equal(found, expected.numpy())
    assert found.shape[1:] == layer.propagate(extent).shape


@modest
@given(linears())
def test_linear_is_that_of_torch_on_flattened_values(pair: tuple[Linear, Extent]) -> None:
    layer, extent = pair
    x = inside(extent, 3)
    expected = functional.linear(doubles(x).flatten(1), doubles(layer.weight), doubles(layer.bias))
    assert np.array_equal(run(layer, x, extent), expected.numpy())


@modest
@given(poolings())
def test_sum_pooling_is_average_pooling_times_the_window(pair: tuple[SumPooling, Extent]) -> None:
    layer, extent = pair
    x = inside(extent, 3)
    expected = functional.avg_pool2d(doubles(x), layer.kernel, layer.stride, divisor_override=1)
    assert np.array_equal(run(layer, x, extent), expected.numpy())


@modest
@given(activations())
def test_an_activation_looks_every_value_up_in_its_channels_table(pair: tuple[Activation, Extent]) -> None:
    layer, extent = pair
    x = inside(extent, 3)
    found = run(layer, x, extent)
    for where in np.ndindex(x.shape):
        row = where[1] if len(layer.table) > 1 else 0
        assert found[where] == layer.table[row, x[where] - layer.low]


@modest
@given(residuals())
def test_a_block_adds_its_branches(pair: tuple[Residual, Extent]) -> None:
    layer, extent = pair
    x = inside(extent, 3)
    sums = []
    for branch in (layer.body, layer.shortcut):
        y, entering = x, extent
        for inner in branch:
            y, entering = run(inner, y, entering), inner.propagate(entering)
        sums.append(y)
    assert np.array_equal(run(layer, x, extent), sums[0] + sums[1])


@settings(max_examples=150, deadline=None)
@given(any_layer, st.integers(0, 100))
def test_nothing_leaves_the_worst_case(pair: tuple[Layer, Extent], seed: int) -> None:
    layer, extent = pair
    found = run(layer, inside(extent, 20, seed), extent)
    after = layer.propagate(extent)
    assert found.shape[1:] == after.shape
    assert (found >= after.per_value_low).all()
    assert (found <= after.per_value_high).all()


def reaching(weight: IntArray, low: IntArray, high: IntArray, *, highest: bool) -> IntArray:
    return np.where((weight > 0) == highest, high, low)


@modest
@given(linears(), st.booleans())
def test_the_worst_case_of_a_linear_layer_is_reached(pair: tuple[Linear, Extent], highest: bool) -> None:
    layer, extent = pair
    low, high = extent.per_value_low.ravel(), extent.per_value_high.ravel()
    x = np.stack([reaching(row, low, high, highest=highest) for row in layer.weight]).reshape(-1, *extent.shape)
    after = layer.propagate(extent)
    assert np.array_equal(np.diag(run(layer, x, extent)), after.high if highest else after.low)


@modest
@given(convolutions(padded=False), st.booleans())
def test_the_worst_case_of_a_convolution_without_padding_is_reached(
    pair: tuple[Convolution, Extent], highest: bool
) -> None:
    layer, extent = pair
    outputs, inputs, height, width = layer.weight.shape
    after = layer.propagate(extent)
    for channel in range(outputs):
        first = channel // (outputs // layer.groups) * inputs
        own = slice(first, first + inputs)
        x = np.broadcast_to(extent.per_value_low, extent.shape).copy()
        x[own, :height, :width] = reaching(
            layer.weight[channel], extent.low[own, None, None], extent.high[own, None, None], highest=highest
        )
        found = run(layer, x[None], extent)[0, channel, 0, 0]
        assert found == (after.high if highest else after.low)[channel]


@modest
@given(st.one_of(poolings(), activations()))
def test_the_worst_cases_of_pooling_and_activation_are_reached(pair: tuple[Layer, Extent]) -> None:
    layer, extent = pair
    after = layer.propagate(extent)
    steps = int((extent.high - extent.low).max()) + 1
    swept = np.stack([np.minimum(extent.per_value_low + step, extent.per_value_high) for step in range(steps)])
    found = run(layer, swept, extent).reshape(steps, len(after.low), -1)
    assert np.array_equal(found.min(axis=(0, 2)), after.low)
    assert np.array_equal(found.max(axis=(0, 2)), after.high)


def test_a_padded_tap_may_be_zero_beside_its_channels_range() -> None:
    layer = Convolution("conv", np.ones((1, 1, 3, 3), np.int64), np.zeros(1, np.int64), padding=(1, 1))
    extent = Extent((1, 2, 2), np.array([5]), np.array([6]))
    after = layer.propagate(extent)
    assert run(layer, inside(extent, 4), extent).min() >= after.low[0]
    assert after.low[0] <= 4 * 5


@settings(max_examples=100, deadline=None)
@given(any_layer)
def test_every_layer_comes_back_from_its_attributes_and_tensors(pair: tuple[Layer, Extent]) -> None:
    layer, extent = pair
    entry = {"name": layer.name, "kind": layer.kind, **layer.attributes()}
    tensors = {f"{layer.name}.{name}": tensor for name, tensor in layer.tensors().items()}
    again = restore_layer(entry, tensors)
    assert (type(again), again.attributes()) == (type(layer), layer.attributes())
    x = inside(extent, 3)
    assert np.array_equal(run(layer, x, extent), run(again, x, extent))
    assert again.parameters == layer.parameters == sum(tensor.size for tensor in layer.tensors().values())


@settings(max_examples=100, deadline=None)
@given(any_layer)
def test_table_inputs_are_counted_where_tables_are(pair: tuple[Layer, Extent]) -> None:
    layer, extent = pair
    counted, bits = layer.bootstraps(extent), layer.table_bits(extent)
    if isinstance(layer, Activation):
        assert (counted, bits, layer.linear) == (int(np.prod(extent.shape)), layer.bins.bits, False)
    elif isinstance(layer, Residual):
        tables = [inner for inner in (*layer.body, *layer.shortcut) if isinstance(inner, Activation)]
        assert (counted, bits, layer.linear) == (18 * len(tables), max(table.bins.bits for table in tables), False)
    else:
        assert (counted, bits, layer.linear) == (0, 0, True)


def test_a_layer_cannot_be_changed_from_outside() -> None:
    weight = np.ones((1, 2), np.int64)
    layer = Linear("linear", weight, np.zeros(1, np.int64))
    weight[:] = 7
    assert layer.weight.tolist() == [[1, 1]]
    with pytest.raises(ValueError, match="read-only"):
        layer.weight[0, 0] = 3


def test_kinds_are_those_of_the_layers() -> None:
    assert {layer.kind for layer in (*layers_of_all_kinds(), MaxPooling("max", (2, 2), (2, 2)))} == set(LAYER_KINDS)


def test_what_the_package_names_is_there() -> None:
    assert all(hasattr(layers, name) for name in layers.__all__)
    assert all(not inspect.ismodule(getattr(layers, name)) for name in layers.__all__)


# What contradicts itself or its input is refused.


def extent(*shape: int, low: int = 0, high: int = 3) -> Extent:
    return Extent(shape, np.full(shape[0], low), np.full(shape[0], high))


def ones(*shape: int) -> IntArray:
    return np.ones(shape, np.int64)


@pytest.mark.parametrize(
    ("layer", "entering", "message"),
    [
        (Convolution("c", ones(2, 3, 2, 2), ones(2)), extent(2, 4, 4), r"'c' takes \(3, rows, columns\).*\(2, 4, 4\)"),
        (Convolution("c", ones(2, 1, 2, 2), ones(2), groups=2), extent(1, 4, 4), r"takes \(2, rows"),
        (Convolution("c", ones(2, 3, 2, 2), ones(2)), extent(3), r"gets \(3,\)"),
        (Convolution("c", ones(2, 3, 5, 2), ones(2)), extent(3, 4, 4), "5x2 kernel, larger than its input"),
        (Convolution("c", ones(2, 3, 2, 5), ones(2)), extent(3, 4, 4), "2x5 kernel, larger than its input"),
        (Linear("l", ones(2, 5), ones(2)), extent(4), r"'l' takes 5 values but gets 4 of shape \(4,\)"),
        (Linear("l", ones(2, 5), ones(2)), extent(1, 2, 2), "takes 5 values but gets 4"),
        (SumPooling("p", (2, 2), (1, 1)), extent(4), r"'p' takes \(channels, rows, columns\)"),
        (SumPooling("p", (3, 2), (1, 1)), extent(1, 2, 2), r"window \(3, 2\) larger than its input"),
        (SumPooling("p", (2, 3), (1, 1)), extent(1, 2, 2), r"window \(2, 3\) larger than its input"),
        (Activation("a", ones(1, 3)), extent(2), r"'a' has a table of shape \(1, 3\).*\[0, 3\] on 2 channels"),
        (Activation("a", ones(1, 9), 1), extent(2), "must cover them"),
        (Activation("a", ones(3, 9)), extent(2), r"shape \(3, 9\).*on 2 channels"),
        (Residual("r", (SumPooling("p", (2, 2), (2, 2)),), ()), extent(1, 2, 2), r"\(1, 1, 1\) and \(1, 2, 2\)"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(layer: Layer, entering: Extent, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        layer.propagate(entering)
    with pytest.raises(NetworkError, match=message):
        run(layer, np.zeros((1, *entering.shape), np.int64), entering)


@pytest.mark.parametrize(
    "options",
    [{"stride": (0, 1)}, {"stride": (1, -1)}, {"padding": (-1, 0)}, {"groups": 0}, {"groups": 3}],
)
def test_strides_padding_and_groups_out_of_bounds_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(NetworkError, match=r"'c' has stride .* strides start at 1, padding at 0 and groups divide"):
        Convolution("c", ones(2, 1, 2, 2), ones(2), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kernel", "stride"), [((0, 1), (1, 1)), ((1, 1), (1, 0))])
def test_windows_without_extent_are_refused(kernel: tuple[int, int], stride: tuple[int, int]) -> None:
    with pytest.raises(NetworkError, match="'p' has kernel .* both start at 1"):
        SumPooling("p", kernel, stride)


@pytest.mark.parametrize("branch", ["body", "shortcut"])
def test_two_layers_of_one_name_in_a_branch_are_refused(branch: str) -> None:
    twice = (Activation("grid", ones(1, 4)), Activation("grid", ones(1, 4)))
    branches = {"body": (), "shortcut": (), branch: twice}
    with pytest.raises(NetworkError, match=f"'r' names layers of its {branch} twice: grid"):
        Residual("r", **branches)


@pytest.mark.parametrize("branch", ["body", "shortcut"])
@pytest.mark.parametrize("how", [{"dropped_bits": 1}, {"clamps": True}, {"negacyclic": True}])
def test_a_branch_that_begins_by_rounding_is_refused(branch: str, how: dict[str, Any]) -> None:
    branches = {"body": (), "shortcut": (), branch: (Activation("grid", ones(1, 4), **how),)}
    with pytest.raises(NetworkError, match=f"'r' begins its {branch} with 'grid', which rounds, clamps or turns"):
        Residual("r", **branches)


convolution = {"kind": "convolution", "stride": [1, 1], "padding": [0, 0], "groups": 1}
big = np.full((1, 1), 2**31)


@pytest.mark.parametrize(
    ("entry", "tensors", "message"),
    [
        ({"kind": "magic"}, {}, "'x' is of unknown kind 'magic'; known: convolution, linear"),
        ({"kind": "linear"}, {}, "lacks the tensors bias, weight"),
        ({"kind": "linear"}, {"x.weight": ones(1, 2)}, "lacks the tensors bias;"),
        ({"kind": "linear"}, {"y.weight": ones(1, 2), "y.bias": ones(1)}, "lacks the tensors bias, weight"),
        ({"kind": "linear"}, {"x.weight": ones(2), "x.bias": ones(2)}, r"shape \(2,\).*expected 2 axes"),
        ({"kind": "linear"}, {"x.weight": ones(2, 2), "x.bias": ones(3)}, r"bias of shape \(3,\)"),
        ({"kind": "linear"}, {"x.weight": ones(2, 2), "x.bias": ones(2, 1)}, "a bias for each of the first"),
        ({"kind": "linear"}, {"x.weight": ones(0, 2), "x.bias": ones(0)}, "expected 2 axes"),
        ({"kind": "linear"}, {"x.weight": big, "x.bias": ones(1)}, r"2\^31 or more"),
        ({"kind": "linear"}, {"x.weight": -big, "x.bias": ones(1)}, r"2\^31 or more"),
        ({"kind": "linear"}, {"x.weight": ones(1, 1), "x.bias": big[0]}, r"2\^31 or more"),
        (convolution, {"x.weight": ones(2, 2), "x.bias": ones(2)}, "expected 4 axes"),
        (convolution | {"groups": 3}, {"x.weight": ones(2, 1, 1, 1), "x.bias": ones(2)}, "groups divide"),
        ({"kind": "activation", "low": 0}, {}, "table of shape None"),
        ({"kind": "activation", "low": 0}, {"x.table": ones(4)}, r"table of shape \(4,\)"),
        ({"kind": "activation", "low": 0}, {"x.table": ones(1, 0)}, r"table of shape \(1, 0\)"),
        ({"kind": "activation", "low": 0}, {"x.table": ones(1, 2**MAX_TABLE_BITS + 1)}, r"at most 2\^16 entries"),
        ({"kind": "residual", "body": [{"name": "x", "kind": "y"}], "shortcut": []}, {}, "unknown kind 'y'"),
    ],
)
def test_tensors_that_contradict_the_entry_are_refused(
    entry: dict[str, object], tensors: dict[str, IntArray], message: str
) -> None:
    with pytest.raises(NetworkError, match=message):
        restore_layer({"name": "x", **entry}, tensors)
