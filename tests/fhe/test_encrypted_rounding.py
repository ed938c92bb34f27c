"""Approximate rounding under real encryption: every answer lies in the envelope, and none where it must not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from network_samples import rounded_network

from cryptml.fhe.backends.integer import compile_integer_program
from cryptml.fhe.circuit import DEFAULT_P_ERROR
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.fhe.server import ServerCircuit, load_evaluation_keys
from cryptml.networks import IntArray
from cryptml.networks.clamping import measure_clamping, within_bins
from cryptml.networks.envelope import envelope
from cryptml.splits import Segment

pytestmark = pytest.mark.encrypted
NETWORK = rounded_network()


def inputs_within(segment: Segment, count: int) -> IntArray:
    """Return (count, *shape) random integers for which no table clamps."""
    reads = NETWORK.boundaries[segment.start]
    values = np.random.default_rng(3).integers(reads.low, reads.high, (2000, *reads.shape), endpoint=True)
    return values[within_bins(NETWORK, values, segment)][:count]


@pytest.mark.parametrize("segment", [Segment(0, 5), Segment(0, 2), Segment(1, 4), Segment(2, 5)], ids=str)
def test_encrypted_answers_lie_in_the_envelope(segment: Segment, tmp_path: Path) -> None:
    compiled = compile_integer_program(NETWORK, segment, DEFAULT_P_ERROR)
    compiled.move_to(tmp_path / "circuit")
    spec = compiled.spec
    keys = KeySet.generate(spec)
    client, server = ClientCircuit(spec, keys), ServerCircuit(tmp_path / "circuit")
    evaluation_keys = load_evaluation_keys(keys.evaluation_keys)
    assert spec.approximate == NETWORK.is_approximate(segment)
    equal = 0
    for values in inputs_within(segment, 12):
        answer = client.decrypt(server.evaluate(client.encrypt(values[None]), evaluation_keys))
        assert envelope(NETWORK, values[None], segment).holds(answer)
        equal += np.array_equal(answer, NETWORK.run(values[None], segment))
    assert equal >= 6  # a value far from the edge of its bin is read as in the clear


def test_a_clamping_table_read_by_the_client_is_exact_wherever_its_inputs_lie(tmp_path: Path) -> None:
    """The client knows the inputs of a server segment, so it clamps and rounds them itself."""
    segment = Segment(1, 2)
    compiled = compile_integer_program(NETWORK, segment, DEFAULT_P_ERROR)
    compiled.move_to(tmp_path / "circuit")
    assert not compiled.spec.approximate
    assert compiled.spec.codec.input_bins == NETWORK.layers[1].bins
    keys = KeySet.generate(compiled.spec)
    client, server = ClientCircuit(compiled.spec, keys), ServerCircuit(tmp_path / "circuit")
    evaluation_keys = load_evaluation_keys(keys.evaluation_keys)
    reads = NETWORK.boundaries[1]
    for value in (reads.low, reads.high, 95, 96, 60):
        values = np.full((1, *reads.shape), value)
        answer = client.decrypt(server.evaluate(client.encrypt(values), evaluation_keys))
        assert np.array_equal(answer, NETWORK.run(values, segment)), value


def test_calibrated_bins_are_cheaper_than_the_worst_case() -> None:
    whole = Segment(0, 2)
    assert NETWORK.boundaries[1].bits > NETWORK.lookup_bits(whole) == 3
    compiled = compile_integer_program(NETWORK, whole, DEFAULT_P_ERROR)
    compiled.discard()
    assert compiled.spec.lookup_bits == 3


def test_clamping_is_counted_where_it_happens() -> None:
    reads = NETWORK.boundaries[0]
    values = np.random.default_rng(0).integers(reads.low, reads.high, (500, *reads.shape), endpoint=True)
    first, second = measure_clamping(NETWORK, values)
    entering = NETWORK.run(values, Segment(0, 1))
    beyond = (entering < 32) | (entering > 95)
    assert (first.layer, first.boundary) == ("act1", 1)
    assert 0 < first.values == beyond.mean() < first.inputs == beyond.any(axis=(1, 2, 3)).mean()
    assert (second.layer, second.values, second.inputs) == ("act2", 0.0, 0.0)
    assert within_bins(NETWORK, values, Segment(0, 5)).mean() == 1 - first.inputs
    assert within_bins(NETWORK, values, Segment(0, 1)).all()
