"""Approximate rounding under real encryption: every answer lies in the envelope, and none where it must not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryptml.errors import RangeError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.fhe.server import ServerCircuit, load_evaluation_keys
from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS, CompilerSettings, Rounding
from cryptml.networks import Boundary, IntArray
from cryptml.networks.layers import Activation, Linear, run_all
from cryptml.networks.rounding.clamping import measure_clamping, within_bins
from cryptml.networks.rounding.envelope import envelope
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR, NoisyOperations
from cryptml.splits import Segment
from tests.networks.network_samples import chain, rounded_network

pytestmark = pytest.mark.encrypted
NETWORK = rounded_network()
FIRST_TABLE: Any = NETWORK.layers[1]


def inputs_within(segment: Segment, count: int) -> IntArray:
    """Return (count, *shape) random integers for which no table clamps."""
    reads = NETWORK.boundaries[segment.start]
    values = np.random.default_rng(3).integers(reads.low, reads.high, (2000, *reads.shape), np.int64, endpoint=True)
    return values[within_bins(NETWORK, values, segment)][:count]


@pytest.mark.parametrize("segment", [Segment(0, 5), Segment(0, 2), Segment(1, 4), Segment(2, 5)], ids=str)
def test_encrypted_answers_lie_in_the_envelope(segment: Segment, tmp_path: Path) -> None:
    compiled = compile_integer_program(NETWORK, segment, DEFAULT_COMPILER_SETTINGS)
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


def test_exact_rounding_gives_the_clear_answers(tmp_path: Path) -> None:
    segment = Segment(0, 2)
    compiled = compile_integer_program(NETWORK, segment, CompilerSettings(rounding=Rounding.EXACT))
    approximate = compile_integer_program(NETWORK, segment, DEFAULT_COMPILER_SETTINGS)
    approximate.discard()
    assert (compiled.spec.approximate, approximate.spec.approximate) == (False, True)
    assert compiled.spec.complexity > approximate.spec.complexity
    compiled.move_to(tmp_path / "circuit")
    keys = KeySet.generate(compiled.spec)
    client, server = ClientCircuit(compiled.spec, keys), ServerCircuit(tmp_path / "circuit")
    evaluation_keys = load_evaluation_keys(keys.evaluation_keys)
    for values in inputs_within(segment, 12):
        answer = client.decrypt(server.evaluate(client.encrypt(values[None]), evaluation_keys))
        assert np.array_equal(answer, NETWORK.run(values[None], segment))


def test_a_clamping_table_read_by_the_client_is_exact_wherever_its_inputs_lie(tmp_path: Path) -> None:
    """The client knows the inputs of a server segment, so it clamps and rounds them itself."""
    segment = Segment(1, 2)
    compiled = compile_integer_program(NETWORK, segment, DEFAULT_COMPILER_SETTINGS)
    compiled.move_to(tmp_path / "circuit")
    assert not compiled.spec.approximate
    assert compiled.spec.codec.input_bins == FIRST_TABLE.bins
    keys = KeySet.generate(compiled.spec)
    client, server = ClientCircuit(compiled.spec, keys), ServerCircuit(tmp_path / "circuit")
    evaluation_keys = load_evaluation_keys(keys.evaluation_keys)
    reads = NETWORK.boundaries[1]
    for value in (reads.low, reads.high, 95, 96, 60):
        values = np.full((1, *reads.shape), value)
        answer = client.decrypt(server.evaluate(client.encrypt(values), evaluation_keys))
        assert np.array_equal(answer, NETWORK.run(values, segment)), value


def test_calibrated_bins_are_cheaper_than_the_worst_case() -> None:
    """The same tables, once read by calibrated bins, once by bins that cover all that can occur."""
    first, _, *rest = NETWORK.layers
    entries = np.repeat(FIRST_TABLE.table, 4, axis=1)
    covering = Activation("act1", entries, NETWORK.boundaries[1].low - 8, dropped_bits=4)
    assert covering.bins.hold(np.array([NETWORK.boundaries[1].low, NETWORK.boundaries[1].high])).all()
    prices = []
    for network in (NETWORK, chain((first, covering, *rest), NETWORK.boundaries[0])):
        compiled = compile_integer_program(network, Segment(0, 2), DEFAULT_COMPILER_SETTINGS)
        compiled.discard()
        prices.append(compiled.spec.complexity)
    assert prices[0] < prices[1] / 2


def test_the_engine_turns_tables_as_the_simulation_does(tmp_path: Path) -> None:
    """Values beyond a table's end read it from its beginning, with the opposite sign; at an edge the neighbour is read half the time."""
    table = Activation("act", np.array([[1, 2, 3, 4, 5, 6, 7, 7]]), dropped_bits=4, clamps=True)
    weight = np.zeros((2, 16), np.int64)
    weight[:, 0] = 1
    network = chain((Linear("linear", weight, np.zeros(2, np.int64)), table), Boundary((1, 4, 4), -40, 200, (1.0,)))
    segment = Segment(0, 2)
    compiled = compile_integer_program(network, segment, DEFAULT_COMPILER_SETTINGS)
    compiled.move_to(tmp_path / "circuit")
    keys = KeySet.generate(compiled.spec)
    client, server = ClientCircuit(compiled.spec, keys), ServerCircuit(tmp_path / "circuit")
    evaluation_keys = load_evaluation_keys(keys.evaluation_keys)
    extent = network.boundaries[0].extent()
    for value in (8, 24, 120, 136, 168, -8, -24):
        values = np.zeros((1, 1, 4, 4), np.int64)
        values[0, 0, 0, 0] = value
        noisy = run_all(network.layers, values, extent, NoisyOperations(DEFAULT_P_ERROR, np.random.default_rng(0)))
        ciphertext = client.encrypt(values)
        if noisy.min() < 1:
            with pytest.raises(RangeError, match="far from what the network was calibrated for"):
                client.decrypt(server.evaluate(ciphertext, evaluation_keys))
        else:
            assert np.array_equal(client.decrypt(server.evaluate(ciphertext, evaluation_keys)), noisy), value


def test_clamping_is_counted_where_it_happens() -> None:
    reads = NETWORK.boundaries[0]
    values = np.random.default_rng(0).integers(reads.low, reads.high, (500, *reads.shape), np.int64, endpoint=True)
    first, second = measure_clamping(NETWORK, values)
    entering = NETWORK.run(values, Segment(0, 1))
    low, high = FIRST_TABLE.bins.safe
    beyond = (entering < low) | (entering > high)
    assert (first.layer, first.boundary) == ("act1", 1)
    assert 0 < first.values == beyond.mean() < first.inputs == beyond.any(axis=(1, 2, 3)).mean()
    assert (second.layer, second.values, second.inputs) == ("act2", 0.0, 0.0)
    assert within_bins(NETWORK, values, Segment(0, 5)).mean() == pytest.approx(1 - first.inputs)
    assert within_bins(NETWORK, values, Segment(0, 1)).all()
    assert within_bins(NETWORK, entering, Segment(1, 2)).all()  # the client reads the bins of a table that comes first
