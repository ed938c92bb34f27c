"""What training sees of an accumulator is what the integer program makes of it."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cryptml.errors import NetworkError
from cryptml.networks import Scattering, Standardisation
from cryptml.networks.bins import MOST_DROPPED_BITS
from cryptml.networks.conversion import convert, largest_difference, read_stages
from cryptml.networks.conversion.settling import settle
from cryptml.networks.layers import Activation, run_all
from cryptml.networks.modules.blocks import activation, convolution, input_grid, linear, votes
from cryptml.networks.modules.dropout import CentredDropout
from cryptml.networks.modules.negacyclic import NegacyclicActivation
from cryptml.networks.modules.rounded_accumulator import MARGIN, RoundedAccumulator
from cryptml.networks.rounding.noise import NoisyOperations, bin_deviation

FRONT_END = Standardisation(8)


def rounded(seed: int, bits: int = 3, scales: int = 6) -> nn.Sequential:
    """Return a network with a rounded convolution and a rounded linear layer that has seen some data."""
    torch.manual_seed(seed)
    module = nn.Sequential(
        OrderedDict(
            grid=input_grid(bits=4),
            conv=convolution(1, 3, 4, stride=4, bits=4, padding=1),
            round1=RoundedAccumulator(3, bits=bits),
            norm=nn.BatchNorm2d(3),
            act1=activation(bits=3),
            flatten=nn.Flatten(),
            linear=linear(12, 6, bits=4, scales=scales),
            round2=RoundedAccumulator(6, bits=bits),
            norm2=nn.BatchNorm1d(6),
            act2=activation(bits=2),
            votes=votes(6, 2),
        )
    )
    for share in (0.0, 0.0, 1.0, 1.0):
        for each in (module.round1, module.round2):
            each.advance(share)
        module(torch.randn(64, 1, 8, 8))
    return module.eval()


@pytest.mark.parametrize("noise", [-1.0, float("nan"), float("inf")])
def test_noise_that_cannot_be_is_refused(noise: float) -> None:
    with pytest.raises(NetworkError, match="times Concrete's noise; give 0 or more"):
        RoundedAccumulator(2, bits=4, noise=noise)


@pytest.mark.parametrize("noise", [0.0, 1.0, 3.0])
def test_training_reads_a_neighbouring_bin_the_oftener_the_more_noise(noise: float) -> None:
    layer = RoundedAccumulator(1, bits=4, noise=noise)
    values = torch.linspace(-1, 1, 20_000)[:, None]
    layer(values)
    layer.advance(1.0)
    torch.manual_seed(0)
    moved = (layer(values) != layer.eval()(values)).float().mean().item()
    expected = 2 * noise * bin_deviation(2.0**-40) / np.sqrt(2 * np.pi)  # mean |noise| in bins, at edges evenly spread
    assert moved == pytest.approx(expected, rel=0.1, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("scales", [1, 6])
def test_the_settled_module_is_its_integer_program(seed: int, scales: int) -> None:
    module = rounded(seed, scales=scales)
    settle(module, FRONT_END)
    network = convert(module, name="rounded", front_end=FRONT_END, classes=("a", "b"))
    regions = np.random.default_rng(seed).random((300, 8, 8), dtype=np.float32)
    assert largest_difference(module, network, regions) < 1e-4
    first, second = (layer for layer in network.layers if isinstance(layer, Activation))
    assert first.bins.count == second.bins.count == 8
    assert min(first.dropped_bits, second.dropped_bits) > 0
    assert network.boundaries[1].bits > 3


@pytest.mark.parametrize("seed", range(6))
def test_settled_bins_stay_and_lie_near_the_trained_ones(seed: int) -> None:
    module = rounded(seed)
    before = [each.clone() for each in module.round2.grid()]
    settle(module, FRONT_END)
    low, width = (each.clone() for each in module.round2.grid())
    assert ((width / before[1] >= 1 - 1e-4) & (width / before[1] < 1 + 1 / RoundedAccumulator.finest + 1e-4)).all()
    settle(module, FRONT_END)
    again = module.round2.grid()
    torch.testing.assert_close(again[0], low, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(again[1], width, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("magnitude", [1.0, 100.0])
def test_a_wave_is_nearly_as_long_as_it_was_learned_to_be(magnitude: float) -> None:
    """A longer wave is another function, however small the steps of its accumulator are."""
    wave = NegacyclicActivation(5, bits=3)
    wave.train()(magnitude * torch.randn(64, 5, generator=torch.Generator().manual_seed(0)))
    wave.eval()
    before, step = wave.grid()[1].clone(), torch.full((5,), 0.01)
    wave.settle(step)
    bins = wave.integer_bins(np.full(5, 0.01))
    assert 0 < bins.dropped_bits <= MOST_DROPPED_BITS
    grown = wave.grid()[1] / before
    # Where that many bits cannot be dropped, as near as the rest allow.
    parts = min(wave.finest, 2**MOST_DROPPED_BITS / float((before / step).max()) - 1)
    assert parts > 8
    assert ((grown >= 1 - 1e-4) & (grown < 1 + 1 / parts + 1e-4)).all()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 5), st.floats(1, 1e4))
def test_settled_bins_read_back_are_the_same_however_much_channels_differ(seed: int, bits: int, ratio: float) -> None:
    random = np.random.default_rng(seed)
    layer = RoundedAccumulator(6, bits=bits)
    span = torch.from_numpy(ratio ** random.uniform(-1, 0, 6))
    centre = span * torch.from_numpy(random.uniform(-2, 2, 6))
    layer.low.copy_(centre - span / 2)
    layer.high.copy_(centre + span / 2)
    step = np.full(1, 1e-3 / ratio)
    layer.settle(torch.from_numpy(step))
    settled = layer.integer_bins(step)
    layer.settle(torch.from_numpy(step))
    again = layer.integer_bins(step)
    assert (again.dropped_bits, again.factor.tolist()) == (settled.dropped_bits, settled.factor.tolist())
    assert np.abs(again.shift - settled.shift).max() <= 1e-4 * 2.0**settled.dropped_bits  # of a bin


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 5), st.floats(1e-3, 1e3))
def test_integer_bins_are_the_real_ones(seed: int, bits: int, size: float) -> None:
    """For accumulators ``a`` of a step, ``factor * a + shift >> dropped_bits`` is the bin that training sees."""
    random = np.random.default_rng(seed)
    layer = RoundedAccumulator(4, bits=bits)
    layer.low.copy_(torch.from_numpy(-random.uniform(0.2, 1, 4) * size))
    layer.high.copy_(torch.from_numpy(random.uniform(0.2, 1, 4) * size))
    step = torch.from_numpy(random.uniform(0.2, 1, 4) * size / 50)
    layer.settle(step)
    found = layer.integer_bins(step.numpy())
    accumulators = random.integers(-400, 400, (200, 4))
    index = ((found.factor * accumulators + found.shift) >> found.dropped_bits).clip(0, 2**bits - 1)
    low, width = (each.numpy().astype(np.float64) for each in layer.grid())
    expected = np.floor((accumulators * step.numpy() - low) / width).clip(0, 2**bits - 1)
    assert np.array_equal(index, expected)


def test_bins_cover_what_was_seen_with_a_margin_and_forget_slowly() -> None:
    layer = RoundedAccumulator(2, bits=4)
    layer.advance(0.9)
    layer.train()
    layer(torch.tensor([[0.0, -4.0], [1.0, 4.0]]))
    low, width = layer.grid()
    assert (16 * width).tolist() == pytest.approx([MARGIN, 8 * MARGIN])
    assert (low + 8 * width).tolist() == pytest.approx([0.5, 0.0])
    layer(torch.tensor([[0.0, -1.0], [3.0, 1.0]]))
    assert layer.high.tolist() == pytest.approx([3.0, 0.98 * 4 + 0.02])
    layer.eval()
    layer(torch.full((2, 2), 100.0))
    assert layer.high[0] == 3


def test_nothing_is_rounded_in_the_first_half_of_a_training() -> None:
    layer, values = RoundedAccumulator(1, bits=2), torch.randn(50, 1)
    layer.advance(0.49)
    assert torch.equal(layer(values), values)
    layer.advance(0.5)
    assert layer.eval()(values).unique().numel() <= 4


def test_gradients_pass_as_if_nothing_were_rounded() -> None:
    layer, values = RoundedAccumulator(3, bits=2), torch.randn(20, 3, requires_grad=True)
    layer.advance(1.0)
    layer(values).sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, torch.ones_like(values))


def test_training_noise_is_that_of_the_engine() -> None:
    """Half a bin is exceeded with the probability p_error; at 2^-10 that can be counted."""
    assert bin_deviation(2.0**-40) == pytest.approx(1 / 14.28, rel=1e-2)
    noise = bin_deviation(2.0**-10) * np.random.default_rng(0).standard_normal(2_000_000)
    assert (np.abs(noise) > 0.5).mean() == pytest.approx(2.0**-10, rel=0.1)


def test_simulated_noise_moves_values_to_neighbouring_bins_alone() -> None:
    module = rounded(0)
    settle(module, FRONT_END)
    network = convert(module, name="rounded", front_end=FRONT_END, classes=("a", "b"))
    regions = np.random.default_rng(0).random((2000, 8, 8), dtype=np.float32)
    layers, extent = network.layers[:1], network.boundaries[0].extent()
    accumulators = run_all(
        layers, network.quantise(regions), extent, NoisyOperations(2.0**-40, np.random.default_rng(0))
    )
    table = network.layers[1]
    assert isinstance(table, Activation)
    bins = table.bins
    numbers = np.broadcast_to(np.arange(bins.count), (1, bins.count))
    noisy = NoisyOperations(2.0**-40, np.random.default_rng(1)).look_up(accumulators, numbers, bins)
    moved = np.abs(noisy - bins.index(accumulators))
    assert moved.max() == 1
    inner = (accumulators > bins.low) & (accumulators < bins.high)
    assert moved[inner].mean() == pytest.approx(2 * bin_deviation(2.0**-40) / np.sqrt(2 * np.pi), rel=0.15)


def test_a_rounding_must_follow_what_it_rounds() -> None:
    module = nn.Sequential(
        input_grid(4), convolution(1, 2, 4, stride=4, bits=2), nn.BatchNorm2d(2), RoundedAccumulator(2, bits=3),
        activation(2), nn.Flatten(), linear(8, 2, bits=2),
    )  # fmt: skip
    with pytest.raises(NetworkError, match=r"RoundedAccumulator.*does not follow a convolution or linear layer"):
        read_stages(module)


def test_an_untrained_rounded_network_can_be_converted() -> None:
    module = nn.Sequential(
        input_grid(4), convolution(1, 2, 4, stride=4, bits=2), RoundedAccumulator(2, bits=3), activation(2),
        nn.Flatten(), linear(8, 2, bits=2),
    )  # fmt: skip
    network = convert(module, name="fresh", front_end=FRONT_END, classes=("a", "b"))
    assert network.table_bits is not None
    assert isinstance(network.layers[1], Activation)
    assert network.layers[1].bins.count == 8


def test_votes_are_equal_shares_of_ones() -> None:
    layer = votes(6, 3)
    assert layer.quant_weight().int().tolist() == [[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]]
    assert not any(parameter.requires_grad for parameter in layer.parameters() if parameter.ndim == 2)


def test_centred_dropout_leaves_the_mean_and_is_off_in_evaluation() -> None:
    layer = CentredDropout(3, 0.4)
    values = torch.randn(5000, 3) + torch.tensor([0.0, 10.0, -5.0])
    found = layer(values)
    dropped = found != values
    assert float(dropped.float().mean()) == pytest.approx(0.4, abs=0.02)
    torch.testing.assert_close(found[dropped[:, 1], 1], values[:, 1].mean().expand(int(dropped[:, 1].sum())))
    torch.testing.assert_close(found.mean(0), values.mean(0), atol=0.1, rtol=0)
    assert torch.equal(layer.eval()(values), values)


def test_the_scattering_network_is_what_its_file_says() -> None:
    from cryptml.networks.architectures.registry import load_architecture

    architecture = load_architecture("scatter")
    assert isinstance(architecture.front_end, Scattering)
    network = convert(architecture.build(2), name="scatter", front_end=architecture.front_end, classes=("a", "b"))
    assert [layer.kind for layer in network.layers] == ["linear", "activation", "linear"]
    assert network.boundaries[-1].bits <= 7
    assert network.layers[1].table_bits(network.boundaries[1].extent()) == 3


@pytest.mark.parametrize("bits", [1, 9])
def test_widths_that_leave_no_room_are_refused(bits: int) -> None:
    with pytest.raises(NetworkError, match=f"cannot be rounded to {bits} bits"):
        RoundedAccumulator(2, bits=bits)


def test_a_channel_that_never_moves_gets_bins_no_narrower_than_a_step() -> None:
    layer = RoundedAccumulator(2, bits=4)
    layer.low.copy_(torch.tensor([0.5, -1.0]))
    layer.high.copy_(torch.tensor([0.5, 1.0]))
    found = layer.integer_bins(np.full(2, 0.01))
    assert found.dropped_bits < 10
    assert (found.factor <= 2**found.dropped_bits).all()


def test_a_table_behind_a_rounding_table_reads_every_value() -> None:
    """Bins are of the accumulators in front of the first table, not of what the first table gives."""
    module = nn.Sequential(
        input_grid(4), convolution(1, 2, 4, stride=4, bits=3), RoundedAccumulator(2, bits=3), activation(3), activation(2),
        nn.Flatten(), linear(8, 2, bits=2, bias=False),
    )  # fmt: skip
    for share in (0.0, 1.0):
        module[2].advance(share)
        module(torch.randn(64, 1, 8, 8))
    settle(module, FRONT_END)
    network = convert(module, name="rows", front_end=FRONT_END, classes=("a", "b"))
    first, second = network.layers[1:3]
    assert isinstance(first, Activation)
    assert isinstance(second, Activation)
    assert first.rounds
    assert not second.rounds
    regions = np.random.default_rng(0).random((100, 8, 8), dtype=np.float32)
    assert largest_difference(module, network, regions) < 1e-4


def test_a_channel_that_never_moves_leaves_the_bins_of_the_others_alone() -> None:
    layer = RoundedAccumulator(2, bits=4)
    layer(torch.tensor([[0.25, -1.0], [0.25, 1.0]]))
    step = np.array([1e-9, 1e-2])
    alone = RoundedAccumulator(1, bits=4)
    alone(torch.tensor([[-1.0], [1.0]]))
    layer.settle(torch.from_numpy(step))
    found, expected = layer.integer_bins(step), alone.integer_bins(step[1:])
    assert found.dropped_bits == expected.dropped_bits
    assert found.factor[1] == expected.factor[0]
    layer.settle(torch.from_numpy(step))
    again = layer.integer_bins(step)
    assert (again.dropped_bits, again.factor.tolist()) == (found.dropped_bits, found.factor.tolist())


@pytest.mark.parametrize("parts", [8, 9, 15, 16])
@pytest.mark.parametrize("error", [-9.5e-6, -8.5e-6, -7.5e-6, -1e-7, 0.0, 1e-7, 7.5e-6, 9.5e-6])
def test_the_widest_bin_may_be_off_by_a_hair(parts: int, error: float) -> None:
    layer = RoundedAccumulator(2, bits=4)
    width = 2.0**10 / np.array([parts * (1 + error), 17.3])  # in steps
    layer.low.copy_(torch.zeros(2))
    layer.high.copy_(torch.from_numpy(width * 16 / MARGIN))
    step = np.ones(1)
    layer.settle(torch.from_numpy(step))
    found = layer.integer_bins(step)
    layer.settle(torch.from_numpy(step))
    again = layer.integer_bins(step)
    assert (again.dropped_bits, again.factor.tolist()) == (found.dropped_bits, found.factor.tolist())
