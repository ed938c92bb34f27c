"""Encrypted maxima are the maxima, and rearranged values stay in their order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from cryptml.errors import NetworkError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.fhe.server import ServerCircuit, load_evaluation_keys
from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS
from cryptml.networks import IntArray
from cryptml.networks.boundary import Boundary
from cryptml.networks.layers import Convolution, Linear, MaxPooling, restore_layer
from cryptml.networks.operations import NumpyOperations
from cryptml.networks.rounding.envelope import Interval, IntervalOperations
from cryptml.splits import Segment
from tests.networks.network_samples import SIDE, chain

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


def brute(x: IntArray, layer: MaxPooling) -> IntArray:
    """Return the largest of each window, what lies beyond the edges left out."""
    hidden = np.iinfo(np.int64).min
    rows, columns = layer.padding
    padded = np.pad(x, ((0, 0), (0, 0), (rows, rows), (columns, columns)), constant_values=hidden)
    windows = sliding_window_view(padded, layer.kernel, axis=(2, 3))  # type: ignore[call-overload]
    found: IntArray = windows[:, :, :: layer.stride[0], :: layer.stride[1]].max((-2, -1))
    return found


@settings(max_examples=50, deadline=None)
@given(kernel=pairs, stride=pairs, padded=st.booleans(), seed=st.integers(0, 99))
def test_a_maximum_is_that_of_its_window(
    kernel: tuple[int, int], stride: tuple[int, int], padded: bool, seed: int
) -> None:
    layer = MaxPooling("max", kernel, stride, (kernel[0] // 2, kernel[1] // 2) if padded else (0, 0))
    boundary = Boundary((2, 5, 4), -7, 8)
    x = np.random.default_rng(seed).integers(-6, 8, (3, 2, 5, 4))
    found = layer.forward(x, boundary.extent(), NumpyOperations(), (-7, 8))
    assert np.array_equal(found, brute(x, layer))
    assert found.shape[1:] == layer.propagate(boundary.extent()).shape
    interval = layer.forward(Interval(x - 1, x + 1), boundary.extent(), IntervalOperations(blurred=True), (-7, 8))
    assert np.array_equal(interval.low, brute(x - 1, layer))
    assert np.array_equal(interval.high, brute(x + 1, layer))
    entry = {"name": "max", "kind": "maximum", **layer.attributes()}
    assert restore_layer(entry, {}).attributes() == layer.attributes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (((0, 1), (1, 1)), "kernels and strides start at 1"),
        (((2, 2), (0, 1)), "kernels and strides start at 1"),
        (((2, 2), (1, 1), (-1, 0)), "padding at 0"),
        (((3, 3), (1, 1), (2, 0)), "pads by (2, 0); pad by (1, 1), half a window, at most"),
    ],
)
def test_windows_that_cannot_be_are_refused(arguments: tuple[tuple[int, int], ...], said: str) -> None:
    with pytest.raises(NetworkError) as caught:
        MaxPooling("max", *arguments)
    assert said in str(caught.value)


def test_a_window_larger_than_its_input_is_refused() -> None:
    with pytest.raises(NetworkError, match="larger than its input"):
        MaxPooling("max", (3, 3), (1, 1)).propagate(Boundary((1, 2, 2), 0, 3).extent())


def test_a_convolution_reads_values_in_the_shape_that_it_is_given() -> None:
    weight = np.random.default_rng(0).integers(-3, 4, (2, 4, 1, 2))
    layer = Convolution("conv", weight, np.zeros(2, np.int64), reads=(4, 1, 4))
    x = np.random.default_rng(1).integers(-2, 2, (3, 1, 4, 4))
    extent = Boundary((1, 4, 4), -2, 1).extent()
    found = layer.forward(x, extent, NumpyOperations(), (0, 0))
    expected = np.einsum("nclk,ock->nol", sliding_window_view(x[:, 0], 2, axis=2), weight[:, :, 0])
    assert np.array_equal(found[:, :, 0], expected)
    assert restore_layer(
        {"name": "conv", "kind": "convolution", **layer.attributes()},
        {"conv.weight": layer.weight, "conv.bias": layer.bias},
    ).attributes()["reads"] == [4, 1, 4]
    with pytest.raises(NetworkError, match="give as many values"):
        Convolution("conv", weight, np.zeros(2, np.int64), reads=(4, 1, 5)).propagate(extent)


@pytest.mark.encrypted
def test_encrypted_maxima_of_signed_padded_values_are_exact(tmp_path: Path) -> None:
    maximum = MaxPooling("max", (3, 2), (2, 2), (1, 0))
    rows = Convolution(
        "conv", np.random.default_rng(0).integers(-2, 3, (2, 2, 1, 1)), np.zeros(2, np.int64), reads=(2, 1, 2)
    )
    network = chain((maximum, rows, Linear("linear", np.eye(2, 4, dtype=np.int64), np.full(2, 20))))
    assert network.boundaries[0].shape == (1, SIDE, SIDE)
    segment = Segment(0, len(network))
    compiled = compile_integer_program(network, segment, DEFAULT_COMPILER_SETTINGS)
    assert compiled.spec.bootstraps == network.bootstraps(segment) == 1 * 6 * 2 * 1 + 1 * 2 * 2 * 2
    compiled.move_to(tmp_path / "circuit")
    keys = KeySet.generate(compiled.spec)
    client, evaluation_keys = ClientCircuit(compiled.spec, keys), load_evaluation_keys(keys.evaluation_keys)
    server = ServerCircuit(tmp_path / "circuit")
    for seed in range(2):
        x = np.random.default_rng(seed).integers(-2, 2, (1, 1, SIDE, SIDE))
        found = client.decrypt(server.evaluate(client.encrypt(x), evaluation_keys))
        assert np.array_equal(found, network.run(x))
