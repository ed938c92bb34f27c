"""Tables without an end: what Concrete reads beyond them is what the integer program says, and what training saw."""

from __future__ import annotations

import copy
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from concrete import fhe
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cryptml.errors import NetworkError
from cryptml.exposure.audit import audit_segment
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.settings import CompilerSettings
from cryptml.networks import Standardisation
from cryptml.networks.bins import Bins
from cryptml.networks.boundary import Boundary
from cryptml.networks.conversion import convert
from cryptml.networks.conversion.grid import to_boundary
from cryptml.networks.conversion.settling import settle
from cryptml.networks.extent import Extent, IntArray
from cryptml.networks.layers import Activation, Linear, run_all
from cryptml.networks.modules.binned_linear import BinnedLinear
from cryptml.networks.modules.blocks import (
    activation,
    convolution,
    input_grid,
    linear,
    signed_activation,
    value_of,
    votes,
)
from cryptml.networks.modules.dropout import CentredDropout
from cryptml.networks.modules.negacyclic import NegacyclicActivation
from cryptml.networks.modules.rounded_accumulator import RoundedAccumulator
from cryptml.networks.network import Network
from cryptml.networks.operations import NumpyOperations
from cryptml.networks.rounding.clamping import measure_clamping, within_bins
from cryptml.networks.rounding.envelope import Interval, IntervalOperations, envelope
from cryptml.networks.rounding.noise import NoisyOperations
from cryptml.networks.storage import load_network, save_network
from cryptml.splits import Segment
from cryptml.training.evaluation.agreement import disagreement

FRONT_END = Standardisation(8)
P_ERROR = 2.0**-40
BITS = st.integers(1, 4)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Bins, IntArray]:
    """Bins without an end and a table for them."""
    bits, dropped = draw(BITS), draw(st.integers(0, 4))
    entries = draw(st.lists(st.integers(-20, 20), min_size=1 << bits, max_size=1 << bits))
    return Bins(draw(st.integers(-9, 9)), 1 << bits, dropped, negacyclic=True), np.array([entries])


@given(tables(), st.integers(-5000, 5000))
def test_half_a_turn_further_a_table_gives_the_opposite(table: tuple[Bins, IntArray], value: int) -> None:
    bins, entries = table
    values = np.array([[value, value + bins.count * bins.width, value + 2 * bins.count * bins.width]])
    here, opposite, again = NumpyOperations().look_up(values.T, entries, bins)[:, 0]
    assert here == -opposite == again


@given(tables(), st.data())
def test_within_its_bins_a_table_is_read_as_any_other(table: tuple[Bins, IntArray], data: st.DataObject) -> None:
    bins, entries = table
    value = np.array([[data.draw(st.integers(bins.low, bins.high))]])
    plain = Bins(bins.low, bins.count, bins.dropped_bits)
    operations = NumpyOperations()
    assert operations.look_up(value, entries, bins) == operations.look_up(value, entries, plain)


@given(tables(), st.integers(-300, 300), st.integers(0, 400))
def test_the_range_of_numbers_holds_every_number_and_no_more_than_all(
    table: tuple[Bins, IntArray], low: int, span: int
) -> None:
    bins, _ = table
    first, last = bins.index_range(low, low + span)
    found = bins.index(np.arange(low, low + span + 1))
    assert 0 <= first <= found.min() <= found.max() <= last < bins.numbers
    if last - first + 1 < bins.numbers:
        assert (found.min(), found.max()) == (first, last)


@given(tables(), st.integers(-300, 300), st.integers(0, 400))
def test_what_can_leave_a_table_is_what_some_input_gives(table: tuple[Bins, IntArray], low: int, span: int) -> None:
    bins, entries = table
    layer = Activation("act", entries, bins.low, bins.dropped_bits, negacyclic=True)
    after = layer.propagate(Extent((1,), np.array([low]), np.array([low + span])))
    found = NumpyOperations().look_up(np.arange(low, low + span + 1)[:, None], entries, bins)
    if bins.dropped_bits:  # noise may read the bins beside
        values = np.arange(low - bins.width, low + span + bins.width + 1)[:, None]
        found = NumpyOperations().look_up(values, entries, bins)
    assert (after.low[0], after.high[0]) == (found.min(), found.max())


@given(tables(), st.integers(-300, 300), st.integers(0, 400))
def test_a_number_s_value_has_that_number_wherever_the_range_has_one(
    table: tuple[Bins, IntArray], low: int, span: int
) -> None:
    bins, _ = table
    numbers = np.arange(bins.numbers)
    found = bins.values_of(numbers, low, low + span)
    assert low <= found.min() <= found.max() <= low + span
    reachable = np.unique(bins.index(np.arange(low, low + span + 1)))
    assert np.array_equal(bins.index(found[reachable]), reachable)


@given(tables(), st.integers(-500, 500), st.integers(0, 400))
def test_what_a_table_tells_apart_is_a_range(table: tuple[Bins, IntArray], low: int, span: int) -> None:
    bins, entries = table
    layer = Activation("act", entries, bins.low, bins.dropped_bits, negacyclic=True)
    first, last = layer.distinguished(Extent((1,), np.array([low]), np.array([low + span])))
    assert bins.low <= first <= last <= bins.high


@given(tables(), st.integers(-500, 500), st.integers(0, 100))
def test_the_envelope_holds_whatever_noise_makes_of_a_value(table: tuple[Bins, IntArray], low: int, span: int) -> None:
    bins, entries = table
    layer = Activation("act", entries, bins.low, bins.dropped_bits, negacyclic=True)
    extent = Extent((1,), np.array([-1000]), np.array([1000]))
    values = np.arange(low, low + span + 1)[:, None]
    operations = NoisyOperations(P_ERROR, np.random.default_rng(0))
    around = run_all((layer,), Interval(values[:1], values[-1:]), extent, IntervalOperations(blurred=True))
    for _ in range(3):
        found = run_all((layer,), values, extent, operations)
        assert around.low[0, 0] <= found.min() <= found.max() <= around.high[0, 0]


@pytest.mark.parametrize("count", [1, 3, 12])
def test_a_table_without_an_end_has_a_power_of_two_of_entries(count: int) -> None:
    with pytest.raises(NetworkError, match="give it a power of two"):
        Bins(0, count, negacyclic=True)


def test_a_table_without_an_end_clamps_nothing() -> None:
    with pytest.raises(NetworkError, match="cannot clamp"):
        Activation("act", np.arange(4)[None], clamps=True, negacyclic=True)


def waves(seed: int, *, steps: int | None, turns: float = 3.0) -> nn.Sequential:
    """Return a trained-looking network of two waves, whose accumulators go round several times."""
    torch.manual_seed(seed)
    wave2 = NegacyclicActivation(5, bits=3, steps=steps)
    fan = {"bits": 4, "bins": wave2} if steps else {"bits": 4, "bias": False, "scales": 5}
    module = nn.Sequential(
        OrderedDict(
            grid=input_grid(6),
            conv=convolution(1, 6, 4, stride=2, bits=5),
            wave1=NegacyclicActivation(6, bits=3),
            act1=signed_activation(4),
            flatten=nn.Flatten(),
            drop=CentredDropout(54, 0.1),
            linear=(BinnedLinear if steps else linear)(54, 5, **fan),
            wave2=wave2,
            act2=signed_activation(3),
            votes=votes(5, 2),
        )
    )
    with torch.no_grad():
        for wave in (module.wave1, module.wave2):
            wave.narrowing.fill_(np.log(turns))
            wave.loudness.mul_(torch.rand_like(wave.loudness) + 0.5)
        for share in [0.0] * 10 + [1.0] * 10:
            for wave in (module.wave1, module.wave2):
                wave.advance(share)
            module(2 * torch.randn(64, 1, 8, 8))
    return module.eval()


def program(module: nn.Sequential) -> Network:
    settle(module, FRONT_END)
    return convert(module, name="waves", front_end=FRONT_END, classes=("a", "b"))


def weight_of(network: Network, place: int) -> IntArray:
    layer = network.layers[place]
    assert isinstance(layer, Linear)
    return layer.weight


def table_of(network: Network, place: int) -> Activation:
    layer = network.layers[place]
    assert isinstance(layer, Activation)
    return layer


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("steps", [None, 8, 32])
def test_the_settled_module_is_its_integer_program_wherever_accumulators_go(seed: int, steps: int | None) -> None:
    module = waves(seed, steps=steps)
    network = program(module)
    inputs = 2 * torch.randn(300, 1, 8, 8)
    assert disagreement(module, network, inputs) <= 0.01
    values = network.boundaries[0].quantise(inputs.numpy())
    bins = table_of(network, 1).bins
    accumulators = network.run(values, Segment(0, 1))
    assert ((accumulators < bins.low) | (accumulators > bins.high)).mean() > 0.2  # several turns, not one
    assert within_bins(network, values, Segment(0, len(network))).all()
    assert all(each.values == 0 for each in measure_clamping(network, values))


def test_a_settled_network_settles_where_it_is() -> None:
    module = waves(7, steps=None)
    first = program(module)
    again = program(module)
    assert all(
        np.array_equal(one, two)
        for a, b in zip(first.layers, again.layers, strict=True)
        for one, two in zip(a.tensors().values(), b.tensors().values(), strict=True)
    )


@pytest.mark.parametrize("steps", [4, 8])
def test_integer_weights_are_no_larger_than_bins_need(steps: int) -> None:
    free, bound = program(waves(1, steps=None)), program(waves(1, steps=steps))
    norms = [np.sqrt((weight_of(network, 2) ** 2).sum(axis=1)).max() for network in (free, bound)]
    assert norms[1] < norms[0]
    assert table_of(bound, 3).dropped_bits == steps.bit_length() - 1
    assert np.abs(weight_of(bound, 2)).max() <= 7


def test_a_binned_layer_needs_steps_and_a_grid() -> None:
    with pytest.raises(NetworkError, match="without steps"):
        BinnedLinear(4, 2, bits=4, bins=NegacyclicActivation(2, bits=3))
    layer = BinnedLinear(4, 2, bits=4, bins=RoundedAccumulator(2, bits=3, steps=8))
    with pytest.raises(NetworkError, match="reads no integers"):
        layer(torch.randn(5, 4))


@pytest.mark.parametrize("steps", [0, 1, 3, 1 << 13])
def test_steps_are_a_power_of_two(steps: int) -> None:
    with pytest.raises(NetworkError, match="give a power of two"):
        NegacyclicActivation(2, bits=3, steps=steps)


@pytest.mark.parametrize("behind", [activation(3), nn.Sequential(nn.BatchNorm1d(4), signed_activation(3))])
def test_what_does_not_keep_the_sign_is_refused_behind_a_wave(behind: nn.Module) -> None:
    modules = behind if isinstance(behind, nn.Sequential) else [behind]
    module = nn.Sequential(
        input_grid(4),
        nn.Flatten(),
        linear(64, 4, bits=3, bias=False),
        NegacyclicActivation(4, bits=3),
        *modules,
        linear(4, 2, bits=3),
    )
    for each in module.modules():
        if isinstance(each, nn.BatchNorm1d):
            each.bias.data.fill_(0.7)
    module(torch.randn(64, 1, 8, 8))
    with pytest.raises(NetworkError, match="half a period further"):
        convert(module, name="odd", front_end=FRONT_END, classes=("a", "b"))


def test_a_wave_is_saved_and_loaded(tmp_path: Path) -> None:
    network = program(waves(2, steps=16))
    save_network(network, tmp_path / "saved", architecture="mine:waves")
    loaded = load_network(tmp_path / "saved")
    assert table_of(loaded, 1).negacyclic
    regions = np.random.default_rng(0).random((20, 8, 8), dtype=np.float32)
    assert np.array_equal(network.logits(regions), loaded.logits(regions))


@pytest.mark.encrypted
@pytest.mark.parametrize("segment", [Segment(0, 2), Segment(1, 3), Segment(2, 4), Segment(0, 5)])
def test_concrete_reads_beyond_the_ends_what_the_program_says(segment: Segment) -> None:
    """Encrypted, on accumulators that go round: within the envelope, and equal where nothing lies near an edge."""
    network = program(waves(3, steps=16))
    regions = np.random.default_rng(1).random((6, 8, 8), dtype=np.float32)
    values = network.quantise(regions)
    if segment.start:
        values = network.run(values, Segment(0, segment.start))
    compiled = compile_integer_program(network, segment, CompilerSettings(P_ERROR))
    client = fhe.Client(fhe.ClientSpecs.deserialize(compiled.spec.client_specs))
    client.keygen()
    found = []
    for value in values:
        ciphertext = client.encrypt(compiled.spec.codec.encode(value[None]))
        answer = client.decrypt(compiled.server.run(ciphertext, evaluation_keys=client.evaluation_keys))
        found.append(compiled.spec.codec.decode(answer)[0])
    compiled.discard()
    assert envelope(network, values, segment).holds(np.stack(found))
    if segment.stop - segment.start < 5:
        assert (np.stack(found) == network.run(values, segment)).mean() > 0.85
    if segment == Segment(2, 4):
        accumulators, bins = network.run(values, Segment(2, 3)), table_of(network, 3).bins
        assert ((accumulators < bins.low) | (accumulators > bins.high)).mean() > 0.2
    assert compiled.spec.approximate is (segment != Segment(1, 3))


def test_an_attack_meets_a_table_without_an_end() -> None:
    """A client in front of it asks for every number once, and has the table."""
    network = program(waves(4, steps=16))
    recovery = audit_segment(network, Segment(1, 2), budget=64, seed=0)
    assert recovery.exact
    assert recovery.recovered_share == 1


@pytest.mark.parametrize(("low", "high"), [(0, 15), (3, 14), (20, 40), (-3, 5), (-40, 90)])
def test_an_attack_finds_every_entry_that_an_input_can_reach(low: int, high: int) -> None:
    """Whatever part of a turn the range covers, and wherever it begins."""
    table = np.array([[5, -3, 2, 7, 1, -6, 4, 3], [1, 2, -3, 4, -5, 6, 7, 8]])
    activation = Activation("act", table, dropped_bits=1, negacyclic=True)
    first = Boundary((2,), low, high)
    after = to_boundary(activation, first, np.ones(1), np.zeros(1, np.int64))
    last = Linear("last", np.array([[2, -1], [1, 3]]), np.array([5, 7]))
    end = to_boundary(last, after, np.ones(1), np.zeros(1, np.int64))
    front_end: Any = _Features()
    network = Network(
        "turned",
        front_end,
        (activation, last),
        (first, after, end),
        ("a", "b"),
    )
    table_alone, both = (audit_segment(network, Segment(0, stop), budget=200, seed=0) for stop in (1, 2))
    assert table_alone.recovered_share == 1
    assert table_alone.exact
    assert both.exact


class _Features:
    """A front end of two features."""

    shape = (2,)


def test_a_layer_that_cannot_make_bins_wide_enough_stays_alive() -> None:
    """Few ternary weights reach no 16 steps a bin: scales must not shrink for ever."""
    torch.manual_seed(0)
    wave = NegacyclicActivation(4, bits=3, steps=16)
    layer = BinnedLinear(6, 4, bits=2, bins=wave)
    grid, sizes = activation(2), []
    for _ in range(300):
        wave(layer(grid(torch.randn(64, 6).abs())))
        sizes.append(float(layer.quant_weight().scale.min()))
    assert sizes[-1] > 0.2 * sizes[20]
    assert float(wave.variance.min()) > 1e-3


def test_bins_that_scales_do_not_fit_are_reached_by_multiplying() -> None:
    module = waves(5, steps=16)
    module.linear.scale_of.mul_(1.5)
    free = convert(module, name="waves", front_end=FRONT_END, classes=("a", "b"))
    assert table_of(free, 3).dropped_bits != 4
    network = program(module)  # settling makes the scales fit again
    assert table_of(network, 3).dropped_bits == 4
    assert disagreement(module, network, 2 * torch.randn(200, 1, 8, 8)) <= 0.01


def test_settling_moves_answers_little() -> None:
    module = waves(6, steps=16)
    inputs = 2 * torch.randn(400, 1, 8, 8)
    with torch.no_grad():
        before = value_of(module(inputs))
        settle(module, FRONT_END)
        after = value_of(module(inputs))
    assert np.corrcoef(before.flatten().numpy(), after.flatten().numpy())[0, 1] > 0.7


def test_a_binned_layer_that_lost_its_bins_is_refused() -> None:
    module = waves(5, steps=16)
    module[7] = copy.deepcopy(module[7])
    with pytest.raises(NetworkError, match="copy both together"):
        convert(module, name="waves", front_end=FRONT_END, classes=("a", "b"))
    program(copy.deepcopy(waves(5, steps=16)))


def test_one_accumulator_has_no_deviation() -> None:
    with pytest.raises(NetworkError, match="give it 2 or more"):
        NegacyclicActivation(3, bits=3)(torch.randn(1, 3))
