"""A network as a whole: what it refuses to be, and that no split changes its integers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptml.errors import NetworkError
from cryptml.networks import Boundary, Network, Standardisation, probabilities
from cryptml.networks.layers import Activation, Linear
from cryptml.splits import Segment, Split, enumerate_segments, enumerate_splits
from tests.networks.network_samples import SIDE, chain, inside, layers_of_all_kinds, small_network

NETWORK = small_network()


def changed(**fields: object) -> Network:
    return dataclasses.replace(NETWORK, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("split", enumerate_splits(len(NETWORK)), ids=str)
def test_every_split_gives_the_integers_of_the_unsplit_network(split: Split) -> None:
    x = inside(NETWORK.boundaries[0].extent(), 16)
    values = x
    for _, segment in split.segments:
        values = NETWORK.run(values, segment)
    assert np.array_equal(values, NETWORK.run(x))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_what_stands_between_layers_keeps_the_boundaries(weights: int, inputs: int) -> None:
    network = small_network(weights)
    for segment in enumerate_segments(len(network)):
        x = inside(network.boundaries[segment.start].extent(), 4, inputs)
        assert network.boundaries[segment.stop].describe_violation(network.run(x, segment)) is None


@pytest.mark.parametrize("value", [-3, 2])
def test_an_input_out_of_range_is_refused_with_the_range(value: int) -> None:
    x = np.zeros((2, 1, SIDE, SIDE), np.int64)
    x[1, 0, 2, 3] = value
    with pytest.raises(
        NetworkError, match=rf"segment 0-5 of network 'small' has values in .*{value}.*outside \[-2, 1\]"
    ):
        NETWORK.run(x)


def test_an_input_of_another_shape_is_refused_with_both() -> None:
    with pytest.raises(NetworkError, match=r"segment 2-3 .*shape \(2, 4, 3\) instead of \(2, 4, 4\)"):
        NETWORK.run(np.zeros((1, 2, 4, 3), np.int64), Segment(2, 3))


def test_a_segment_past_the_end_is_refused() -> None:
    for ask in (NETWORK.segment_layers, NETWORK.is_linear, NETWORK.bootstraps, NETWORK.table_bits):
        with pytest.raises(NetworkError, match="segment 3-6 reaches past the 5 layers"):
            ask(Segment(3, 6))


def test_no_layers_are_refused() -> None:
    with pytest.raises(NetworkError, match="'small' has no layers; at least one"):
        changed(layers=())


def test_a_name_given_twice_is_refused() -> None:
    first = NETWORK.layers[0]
    with pytest.raises(NetworkError, match="names layers twice: conv1; give each its own"):
        changed(layers=(first, *NETWORK.layers[1:4], dataclasses.replace(NETWORK.layers[4], name="conv1")))


def test_a_wrong_number_of_boundaries_is_refused() -> None:
    with pytest.raises(NetworkError, match="5 layers and 5 boundaries; expected 6"):
        changed(boundaries=NETWORK.boundaries[:-1])


def test_another_front_end_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"front end gives \(1, 5, 5\), the first boundary is \(1, 4, 4\)"):
        changed(front_end=Standardisation(5))


@pytest.mark.parametrize("index", range(1, 6))
@pytest.mark.parametrize("field", ["low", "high", "shape"])
def test_a_boundary_that_the_layers_do_not_give_is_refused(index: int, field: str) -> None:
    boundary = NETWORK.boundaries[index]
    wrong = {"low": boundary.low - 1, "high": boundary.high + 1, "shape": (*boundary.shape, 1)}[field]
    boundaries = list(NETWORK.boundaries)
    boundaries[index] = dataclasses.replace(boundary, **{field: wrong})  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match=f"{NETWORK.layers[index - 1].name!r} gives .* boundary says"):
        changed(boundaries=tuple(boundaries))


@pytest.mark.parametrize("classes", [("a", "b", "c"), ("a",), ()])
def test_classes_that_the_last_boundary_does_not_have_are_refused(classes: tuple[str, ...]) -> None:
    with pytest.raises(NetworkError, match=rf"ends in shape \(2,\) for {len(classes)} classes"):
        changed(classes=classes)


def test_one_class_alone_is_refused() -> None:
    last = Linear("linear", np.ones((1, 16), np.int64), np.zeros(1, np.int64))
    with pytest.raises(NetworkError, match="two classes are needed"):
        chain([last], classes=("only",))


def test_segments_know_their_price() -> None:
    linear = [NETWORK.is_linear(Segment(i, i + 1)) for i in range(5)]
    assert linear == [True, False, True, False, True]
    assert not NETWORK.is_linear(Segment(0, 5))
    assert [NETWORK.bootstraps(Segment(i, i + 1)) for i in range(5)] == [0, 32, 0, 16, 0]
    assert NETWORK.bootstraps(Segment(0, 5)) == 48
    assert NETWORK.table_bits(Segment(0, 1)) == 0
    entries = NETWORK.boundaries[1].high - NETWORK.boundaries[1].low + 1
    assert NETWORK.table_bits(Segment(1, 2)) == (entries - 1).bit_length() == NETWORK.table_bits(Segment(0, 5))
    assert NETWORK.parameters == sum(layer.parameters for layer in layers_of_all_kinds())


def test_logits_are_the_composition_of_all_steps() -> None:
    regions = np.random.default_rng(1).random((3, SIDE, SIDE), dtype=np.float32)
    integers = NETWORK.quantise(regions)
    assert integers.shape == (3, 1, SIDE, SIDE)
    logits = NETWORK.logits(regions)
    assert logits.dtype == np.float32
    assert np.allclose(logits, (NETWORK.run(integers) - [0, 1]) * 0.5)


@given(st.lists(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3), min_size=1, max_size=4))
def test_probabilities_are_probabilities_in_the_order_of_the_logits(rows: list[list[float]]) -> None:
    logits = np.array(rows, np.float32)
    chances = probabilities(logits)
    assert chances.dtype == np.float32
    assert np.allclose(chances.sum(axis=1), 1, atol=1e-5)
    assert (chances >= 0).all()
    best = np.take_along_axis(chances, logits.argmax(axis=1)[:, None], axis=1)
    assert (best == chances.max(axis=1, keepdims=True)).all()
    assert np.allclose(probabilities(logits + np.float32(8)), chances, atol=1e-2)


# The front end.


@given(st.integers(1, 6), st.integers(0, 2**32), st.floats(0.1, 10), st.floats(-5, 5))
def test_standardised_regions_forget_gain_and_offset(side: int, seed: int, gain: float, offset: float) -> None:
    front_end = Standardisation(side, floor=1e-9)
    regions = np.random.default_rng(seed).random((2, side, side)).astype(np.float32)
    values = front_end.apply(regions)
    assert values.shape == (2, *front_end.shape)
    assert values.dtype == np.float32
    assert np.abs(values).max() <= front_end.limit
    if side > 1:
        assert np.allclose(values, front_end.apply((gain * regions + offset).astype(np.float32)), atol=1e-2)


def test_a_flat_region_stays_flat() -> None:
    assert not Standardisation(3).apply(np.full((1, 3, 3), 0.7, np.float32)).any()


@pytest.mark.parametrize("shape", [(4, 4), (1, 4, 3), (1, 1, 4, 4)])
def test_regions_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(NetworkError, match=r"regions of shape .* give \(batch, 4, 4\)"):
        Standardisation(4).apply(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    "fields",
    [
        {"side": 0},
        {"side": 4097},
        {"floor": 0.0},
        {"floor": 1.5},
        {"limit": 0.0},
        {"limit": 101.0},
        {"floor": float("nan")},
        {"limit": float("nan")},
    ],
)
def test_a_front_end_out_of_bounds_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(NetworkError, match=r"side lies in \[1, 4096\], floor in \(0, 1\], limit in \(0, 100\]"):
        Standardisation(**({"side": 8} | fields))  # type: ignore[arg-type]


def test_a_front_end_comes_back_from_json() -> None:
    front_end = Standardisation(9, 0.5, 2.0)
    assert Standardisation.from_json(front_end.to_json()) == front_end


def test_a_table_may_end_a_network() -> None:
    layers = [
        Linear("linear", np.ones((2, 16), np.int64), np.zeros(2, np.int64)),
        Activation("act", np.arange(49).reshape(1, -1), -32),
    ]
    network = chain(layers, Boundary((1, SIDE, SIDE), -2, 1, (1.0,)))
    assert network.run(np.full((1, 1, SIDE, SIDE), 1)).tolist() == [[48, 48]]
