"""What both halves know of a circuit: the codec, the probability of failure, the check of an answer."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptml.errors import CircuitError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.circuit_spec import CircuitSpec, Codec
from cryptml.fhe.security import SECURITY_BITS
from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS
from cryptml.networks import Boundary, Network, Standardisation
from cryptml.networks.bins import Bins
from cryptml.networks.layers import Activation, Linear
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR
from cryptml.splits import Segment


@pytest.fixture(scope="module")
def spec() -> CircuitSpec:
    layers = (
        Activation("act", np.array([[0, 2, 3, 3]]), -2),
        Linear("linear", np.array([[1, -1, 0, 1], [0, 1, 1, -1]]), np.array([3, 3])),
    )
    boundaries = (
        Boundary((1, 2, 2), -2, 1, (1.0,)),
        Boundary((1, 2, 2), 0, 3, (1.0,)),
        Boundary((2,), 0, 9, (1.0,)),
    )
    network = Network("small", Standardisation(2), layers, boundaries, ("a", "b"))
    compiled = compile_integer_program(network, Segment(0, 2), DEFAULT_COMPILER_SETTINGS)
    compiled.discard()
    return compiled.spec


def test_the_public_description_comes_back_from_json(spec: CircuitSpec) -> None:
    data = json.loads(json.dumps(spec.to_json()))
    assert CircuitSpec.from_json(data, spec.client_specs) == spec
    assert (data["start"], data["stop"], data["backend"], data["bootstraps"]) == (0, 2, "integer", 4)
    assert (data["security_bits"], data["p_error"]) == (SECURITY_BITS, DEFAULT_P_ERROR) == (128, 2.0**-40)
    parameters = spec.parameters
    assert data["input_bytes"] == parameters.input_bytes
    assert data["output_bytes"] == parameters.output_bytes
    assert data["evaluation_key_bytes"] == parameters.evaluation_key_bytes > 0


def test_it_says_nothing_of_scales(spec: CircuitSpec) -> None:
    assert spec.reads.scale == spec.writes.scale == ()


@pytest.mark.parametrize(
    ("field", "shape"), [("reads", [1, 2, 3]), ("writes", [3]), ("reads", [4]), ("writes", [1, 2])]
)
def test_a_description_of_another_circuit_is_refused_with_both_shapes(
    spec: CircuitSpec, field: str, shape: list[int]
) -> None:
    data = spec.to_json()
    data[field] = data[field] | {"shape": shape}
    with pytest.raises(
        CircuitError, match=r"segment 0-2 takes and gives shapes .*the manifest says .*build the bundle again"
    ):
        CircuitSpec.from_json(data, spec.client_specs)


def test_malformed_client_specifications_are_refused(spec: CircuitSpec) -> None:
    with pytest.raises(CircuitError, match="client specification (is not JSON|breaks its schema)"):
        CircuitSpec.from_json(spec.to_json(), b"{}")


def test_an_answer_within_the_boundary_passes_as_it_is(spec: CircuitSpec) -> None:
    values = np.array([[0, 9]])
    assert spec.check_answer(values) is values


@pytest.mark.parametrize("values", [[[0, 10]], [[-1, 0]], [[0, 1, 2]]])
def test_an_answer_that_cannot_be_is_refused(spec: CircuitSpec, values: list[list[int]]) -> None:
    with pytest.raises(CircuitError, match=r"answer of segment 0-2 has .*other keys or altered, or .*ask again"):
        spec.check_answer(np.array(values))


@given(st.integers(0, 10_000), st.floats(2.0**-60, 0.01))
def test_one_evaluation_fails_if_any_of_its_bootstraps_does(bootstraps: int, p_error: float) -> None:
    bit = Boundary((1,), 0, 1)
    spec = CircuitSpec(Segment(0, 1), "integer", bit, bit, Codec(), p_error, bootstraps, 3, False, 1.0, "", b"")
    found = spec.failure_probability
    assert 0 <= found <= 1
    assert found <= bootstraps * p_error * (1 + 1e-9)
    assert (found == 0) == (bootstraps == 0)
    assert found == pytest.approx(1 - (1 - p_error) ** bootstraps, rel=1e-3, abs=1e-12)
    assert dataclasses.replace(spec, bootstraps=bootstraps + 1).failure_probability >= found


channels = st.integers(1, 4)


@given(channels, st.integers(-50, 50), st.integers(0, 2**32))
def test_a_codec_of_ones_moves_by_the_offset_alone(count: int, offset: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(-100, 100, (2, count, 3, 3))
    codec = Codec(output_offset=(float(offset),))
    assert np.array_equal(codec.encode(values), values)
    assert np.array_equal(codec.decode(values), values + offset)


@given(st.lists(st.tuples(st.floats(1, 64), st.integers(-99, 99)), min_size=1, max_size=4), st.integers(0, 2**32))
def test_scales_a_channel_undo_each_other(grids: list[tuple[float, int]], seed: int) -> None:
    scale, offset = (tuple(map(float, column)) for column in zip(*grids, strict=True))
    inverse = tuple(1 / value for value in scale)
    codec = Codec(scale, offset, inverse, tuple(-move / value for move, value in zip(offset, scale, strict=True)))
    values = np.random.default_rng(seed).integers(-500, 500, (2, len(grids), 2, 2))
    assert np.array_equal(codec.decode(codec.encode(values)), values)
    flat = values.reshape(-1, len(grids))
    assert np.array_equal(codec.decode(codec.encode(flat)), flat)


def test_a_codec_comes_back_from_json() -> None:
    codec = Codec((0.5, 2.0), (1.0, -1.0), (3.0,), (0.25,))
    for each in (codec, dataclasses.replace(codec, input_bins=Bins(-3, 12, 4))):
        assert Codec.from_json(json.loads(json.dumps(each.to_json()))) == each
    names = {"input_scale", "input_offset", "output_scale", "output_offset", "input_bins"}
    assert set(codec.to_json()) == names


def test_a_codec_with_bins_sends_their_numbers() -> None:
    codec = Codec(input_bins=Bins(-4, 3, 2))
    values = np.array([[[-90, -4, -1, 0, 3, 4, 7, 90]]])
    assert codec.encode(values).ravel().tolist() == [0, 0, 0, 1, 1, 2, 2, 2]


def test_wide_accumulators_begin_far_below_0() -> None:
    codec = Codec(output_offset=(-(2.0**25),))
    codec.require_fit(Boundary((1,), 0, 3), Boundary((1,), -(2**25), 2**25))
    assert codec.decode(np.array([[0], [2**26]])).ravel().tolist() == [-(2**25), 2**25]


@pytest.mark.parametrize(
    "codec",
    [
        Codec(input_scale=(1.0, 1.0)),
        Codec(output_offset=(0.0,) * 3),
        Codec(input_scale=(0.0,)),
        Codec(output_scale=(-1.0,)),
        Codec(input_scale=(1e30,)),
        Codec(output_offset=(1e30,)),
        Codec(output_offset=(float("nan"),)),
        Codec(output_scale=(2.0**30,)),
    ],
)
def test_a_codec_that_does_not_fit_is_refused(codec: Codec) -> None:
    with pytest.raises(CircuitError, match="codec does not fit"):
        codec.require_fit(Boundary((1, 8, 8), 0, 3), Boundary((1,), 0, 3))
