"""The attacks: exact where they say so, with the queries that they say, through the client's real interface too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryptml.bundle import ClientBundle
from cryptml.bundle.server import ServerBundle
from cryptml.errors import SettingError
from cryptml.exposure.attacks.affine import recover_affine
from cryptml.exposure.audit import audit_segment
from cryptml.exposure.facts import segment_exposure
from cryptml.exposure.knowledge import Knowledge
from cryptml.exposure.oracles import ClearOracle, EncryptedOracle
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.fhe.server import ServerCircuit, load_evaluation_keys
from cryptml.networks import Boundary, IntArray, Network, Standardisation
from cryptml.networks.layers import Activation, Convolution, Layer, Linear, Residual, SumPooling
from cryptml.splits import Segment, enumerate_segments
from tests.networks.network_samples import rounded_network

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Watch:
    """An oracle that keeps what it was asked and insists on the range."""

    def __init__(self, network: Network, segment: Segment) -> None:
        self.inner, self.queries = ClearOracle(network, segment), 0
        self.reads = network.boundaries[segment.start]

    def query(self, values: IntArray) -> IntArray:
        assert self.reads.describe_violation(values) is None
        self.queries += len(values)
        return self.inner.query(values)


def network_of(layers: list[Layer], first: Boundary) -> Network:
    """Return a network that begins with a hidden one-pixel convolution: the segment under test reads any boundary."""
    side = first.shape[-1]
    low, high = first.low, first.high
    front = Activation("front", np.resize(np.arange(low, high + 1), (1, max(2, high - low + 1))), 0)
    spread = Convolution("spread", np.ones((first.shape[0], 1, 1, 1), np.int64), np.zeros(first.shape[0], np.int64))
    boundaries = [Boundary((1, side, side), 0, front.table.shape[1] - 1, (1.0,))]
    chain = [spread, front, *layers]
    for layer in chain:
        extent = layer.propagate(boundaries[-1].extent())
        boundaries.append(Boundary(extent.shape, int(extent.low.min()), int(extent.high.max()), (1.0,)))
    last = Linear("last", np.ones((2, boundaries[-1].size), np.int64), np.zeros(2, np.int64))
    extent = last.propagate(boundaries[-1].extent())
    boundaries.append(Boundary(extent.shape, int(extent.low.min()), int(extent.high.max()), (1.0,)))
    return Network("small", Standardisation(side), (*chain, last), tuple(boundaries), ("a", "b"))


def ranges() -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(-6, 6), st.integers(1, 9)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Network, Segment]:
    side, groups = draw(st.integers(1, 7)), draw(st.integers(1, 3))
    padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    kernel = [draw(st.integers(1, min(4, side + 2 * pad))) for pad in padding]
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    inputs, outputs = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    weight = random.integers(-9, 10, (outputs * groups, inputs, *kernel))
    layers: list[Layer] = [Convolution("conv", weight, random.integers(-99, 100, len(weight)), stride, padding, groups)]
    low, high = draw(ranges())
    first = Boundary((inputs * groups, side, side), low, high)
    network = network_of(layers, first)
    rows, columns = network.boundaries[3].shape[1:]
    before = draw(st.booleans()) and side >= 4 and not any(padding)
    if draw(st.booleans()) and min(rows, columns) >= 2:
        layers.append(SumPooling("pool", (2, 2), draw(st.sampled_from([(1, 1), (2, 2), (3, 2)]))))
    elif before and side // 2 >= max(kernel):
        layers.insert(0, SumPooling("pool", (2, 2), (2, 2)))
    network = network_of(layers, first)
    return network, Segment(2, 2 + len(layers))


@FEW
@given(convolutions())
def test_convolutions_are_recovered_exactly(sample: tuple[Network, Segment]) -> None:
    network, segment = sample
    oracle = Watch(network, segment)
    recovery = audit_segment(network, segment, oracle)
    assert recovery.exact
    assert recovery.recovered_share == 1
    assert recovery.agreement == 1
    assert recovery.queries == oracle.queries == segment_exposure(network, segment).queries


@FEW
@given(ranges(), st.integers(1, 4), st.integers(0, 99), st.booleans())
def test_linear_layers_are_recovered_exactly(bounds: tuple[int, int], side: int, seed: int, pooled: bool) -> None:
    random = np.random.default_rng(seed)
    layers: list[Layer] = [SumPooling("pool", (2, 2), (2, 2))] if pooled and side > 1 else []
    inputs = 2 * (side // 2 if layers else side) ** 2
    layers.append(Linear("linear", random.integers(-50, 51, (3, inputs)), random.integers(-999, 999, 3)))
    network, segment = network_of(layers, Boundary((2, side, side), *bounds)), Segment(2, 2 + len(layers))
    oracle = Watch(network, segment)
    recovery = audit_segment(network, segment, oracle)
    assert recovery.exact
    assert recovery.queries == oracle.queries == inputs + 1 == segment_exposure(network, segment).queries


def test_a_padded_convolution_behind_another_is_recovered_as_a_map() -> None:
    random = np.random.default_rng(0)
    first = Convolution("one", random.integers(-3, 4, (2, 1, 2, 2)), np.array([5, -7]))
    second = Convolution("two", random.integers(-3, 4, (2, 2, 3, 3)), np.array([1, 2]), padding=(1, 1))
    network = network_of([first, second], Boundary((1, 4, 4), -3, 4))
    recovery = audit_segment(network, Segment(2, 4))
    assert recovery.exact
    assert recovery.queries == 17
    assert "composed map" in recovery.method


def test_an_input_that_cannot_move_costs_one_query() -> None:
    network = network_of([Convolution("conv", np.full((1, 1, 2, 2), 3), np.array([4]))], Boundary((1, 4, 4), 0, 1))
    still = Boundary((1, 4, 4), 1, 1)
    known = Knowledge.of(network, Segment(2, 3))
    oracle = ClearOracle(network, Segment(2, 3))
    surrogate = recover_affine(Knowledge(still, known.writes, known.layers), oracle)
    assert oracle.queries == 1
    assert np.array_equal(surrogate.predict(np.ones((2, 1, 4, 4), np.int64)), np.full((2, 1, 3, 3), 16))


@pytest.mark.parametrize("name", ["tiny", "reference"])
def test_every_linear_segment_of_the_shipped_networks_falls(name: str, request: pytest.FixtureRequest) -> None:
    network: Network = request.getfixturevalue(name)
    for segment in enumerate_segments(len(network)):
        if network.is_linear(segment):
            recovery = audit_segment(network, segment)
            assert (recovery.exact, recovery.recovered_share) == (True, 1), segment
            assert recovery.queries == segment_exposure(network, segment).queries


def test_the_linear_layers_of_the_reference_take_as_many_queries_as_they_have_unknowns(reference: Network) -> None:
    for segment, queries in ((Segment(0, 1), 37), (Segment(2, 3), 217), (Segment(4, 5), 49)):
        known = Knowledge.of(reference, segment)
        oracle = Watch(reference, segment)
        surrogate = recover_affine(known, oracle)
        assert oracle.queries == queries
        layer = reference.layers[segment.start]
        assert surrogate.operator is not None
        assert np.array_equal(surrogate.operator.weight, layer.tensors()["weight"])


@pytest.mark.encrypted
def test_a_segment_falls_on_ciphertexts_too(
    tiny: Network, build_tiny: Callable[[str], ServerBundle], tmp_path: Path
) -> None:
    bundle = build_tiny("CCSCC")
    (step,) = ClientBundle.load(bundle.folder / "client").server_steps
    keys = KeySet.generate(step.circuit)
    seen: list[int] = []
    oracle = EncryptedOracle(
        ClientCircuit(step.circuit, keys),
        ServerCircuit(bundle.circuit_folder(0)),
        load_evaluation_keys(keys.evaluation_keys),
        lambda: seen.append(1),
    )
    recovery = audit_segment(tiny, step.circuit.segment, oracle)
    assert recovery.exact
    assert recovery.queries == len(seen) == segment_exposure(tiny, step.circuit.segment).queries == 3


def test_a_lone_activation_is_read_off_its_answers(reference: Network) -> None:
    for segment in (Segment(1, 2), Segment(3, 4)):
        recovery = audit_segment(reference, segment)
        assert (recovery.exact, recovery.recovered_share, recovery.queries) == (True, 1, 16)  # a query a bin


def test_an_activation_before_linear_layers_is_tabulated(tiny: Network, reference: Network) -> None:
    for network, segment in ((tiny, Segment(1, 3)), (tiny, Segment(3, 5)), (reference, Segment(3, 5))):
        recovery = audit_segment(network, segment)
        assert recovery.exact, segment
        assert recovery.recovered_share is None
        assert recovery.queries <= 2000


@FEW
@given(st.integers(0, 9999), st.integers(0, 2), st.integers(16, 300))
def test_exactness_is_never_claimed_where_an_input_differs(seed: int, kind: int, budget: int) -> None:
    """On 2x2 inputs of few values, every input can be tried: a claim is compared with all of them."""
    random = np.random.default_rng(seed)
    convolution = Convolution("conv", random.integers(-3, 4, (2, 1, 2, 2)), random.integers(-5, 5, 2), padding=(1, 0))
    before = network_of([convolution], Boundary((1, 2, 2), -1, 2)).boundaries[3]
    table = random.integers(0, 3, (2, before.high - before.low + 1))
    layers: list[list[Layer]] = [
        [convolution, Activation("act", table, before.low)],
        [Activation("act", random.integers(-1, 3, (1, 4)), -1), convolution],
        [convolution, Activation("act", table, before.low), SumPooling("pool", (2, 1), (1, 1))],
    ]
    network, segment = network_of(layers[kind], Boundary((1, 2, 2), -1, 2)), Segment(2, 2 + len(layers[kind]))
    surrogates: list[Callable[[IntArray], IntArray]] = []
    with pytest.MonkeyPatch.context() as patch:
        from cryptml.exposure import audit as extraction

        compare = extraction._compare

        def noted(n: Network, s: Segment, predict: Callable[[IntArray], IntArray], r: Any) -> Any:
            surrogates.append(predict)
            return compare(n, s, predict, r)

        patch.setattr(extraction, "_compare", noted)
        oracle = Watch(network, segment)
        recovery = audit_segment(network, segment, oracle, budget, seed)
    assert recovery.queries == oracle.queries <= budget
    everything = np.stack(np.meshgrid(*[np.arange(-1, 3)] * 4), axis=-1).reshape(-1, 1, 2, 2)
    if recovery.exact:
        assert np.array_equal(surrogates[0](everything), network.run(everything, segment))
    assert 0 <= recovery.agreement <= 1


@pytest.mark.parametrize("segment", [Segment(0, 3), Segment(0, 5), Segment(2, 5)])
def test_what_is_imitated_only_is_not_called_exact(tiny: Network, segment: Segment) -> None:
    recovery = audit_segment(tiny, segment, budget=300)
    assert not recovery.exact
    assert recovery.recovered_share is None
    assert recovery.agreement < 1
    assert recovery.queries <= 300


def test_a_quantised_neuron_falls_to_least_squares(tiny: Network) -> None:
    recovery = audit_segment(tiny, Segment(2, 4))
    assert recovery.exact
    assert recovery.queries <= 2000


def test_a_residual_block_is_imitated() -> None:
    body = (Activation("act", np.array([[0, 1, 1, 2]]), 0),)
    block = Residual("block", body, ())
    network = network_of([block], Boundary((1, 3, 3), 0, 3))
    recovery = audit_segment(network, Segment(2, 3), budget=100)
    assert not recovery.exact
    assert recovery.queries == 100


def test_attacks_repeat_themselves(tiny: Network) -> None:
    first, second = (audit_segment(tiny, Segment(2, 5), budget=100, seed=3) for _ in range(2))
    assert (first.agreement, first.queries) == (second.agreement, second.queries)
    assert set(first.to_json()) >= {"queries", "recovered_share", "exact", "seconds", "method"}
    with pytest.raises(SettingError, match="16 or more"):
        audit_segment(tiny, Segment(2, 5), budget=3)


@pytest.mark.parametrize("segment", [Segment(1, 2), Segment(1, 3)], ids=str)
def test_a_rounding_table_that_comes_first_costs_a_query_a_bin(segment: Segment) -> None:
    """The client knows the bins: values that they do not tell apart need no second query."""
    network = rounded_network()
    queries = segment_exposure(network, segment).queries
    assert queries is not None
    assert queries <= 1 + 7 * 8
    found = audit_segment(network, segment, Watch(network, segment), budget=100)
    assert found.exact
    assert found.queries <= queries
    assert network.boundaries[1].high - network.boundaries[1].low > 60


def test_a_rounding_table_behind_a_linear_layer_is_no_less_secret_than_it_is() -> None:
    network = rounded_network()
    assert segment_exposure(network, Segment(0, 2)).queries is None
