"""A network is priced before it is trained, and changed as little as the time that it is given asks for."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from brevitas import nn as qnn
from torch import nn

from cryptml.errors import NetworkError, SettingError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.fhe.server import ServerCircuit, load_evaluation_keys
from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS
from cryptml.listening import SilentListener
from cryptml.networks import Standardisation, load_network
from cryptml.networks.architectures.adjustments import Adjustment, adjusted, width_of
from cryptml.networks.architectures.registry import Architecture
from cryptml.networks.checkpoint import load_checkpoint
from cryptml.networks.conversion import largest_difference
from cryptml.networks.conversion.accumulators import table_inputs
from cryptml.networks.modules import ResidualBlock, RoundedAccumulator
from cryptml.networks.rounding.envelope import split_envelope
from cryptml.profiler.plan.report import load_report
from cryptml.search.fitting import Draft, fitted, train
from cryptml.search.ladder import MILLIONS, TIMED, UNTIMED, millions_of
from cryptml.search.price import RECORDED, PriceModel
from cryptml.splits import Segment, Split
from cryptml.training import check_convertible, untrained
from cryptml.training.request import TrainingRequest

SIDE = 8
PROFILES = Path(__file__).parents[2] / "profiles"


def grid(bits: int = 4) -> nn.Module:
    return qnn.QuantIdentity(bit_width=bits, return_quant_tensor=True)


def relu(bits: int = 4) -> nn.Module:
    return qnn.QuantReLU(bit_width=bits, return_quant_tensor=True)


def conv(inputs: int, outputs: int, kernel: int, bits: int = 4, **more: Any) -> nn.Module:
    return qnn.QuantConv2d(inputs, outputs, kernel, bias=False, weight_bit_width=bits, **more)


def plain(classes: int) -> nn.Sequential:
    """Three convolutions of 4 bits, as people write them: none of their tables is narrow enough for a circuit."""
    return nn.Sequential(
        *(grid(), conv(1, 2, 3, stride=2), nn.BatchNorm2d(2), relu(), conv(2, 4, 2), nn.BatchNorm2d(4), relu()),
        *(conv(4, 4, 2), nn.BatchNorm2d(4), relu(), nn.Flatten()),
        qnn.QuantLinear(4, classes, bias=True, weight_bit_width=4),
    )


plain.side = SIDE  # type: ignore[attr-defined]


def branched(classes: int) -> nn.Sequential:
    block = ResidualBlock(nn.Sequential(conv(2, 2, 3, padding=1), nn.BatchNorm2d(2)), grid())
    return nn.Sequential(
        *(grid(), conv(1, 2, 3, stride=2), nn.BatchNorm2d(2), relu(), block, relu(), nn.MaxPool2d(3)),
        *(conv(2, 2, 1), nn.BatchNorm2d(2), nn.AvgPool2d(1), relu(), nn.Flatten()),
        qnn.QuantLinear(2, classes, bias=True, weight_bit_width=4),
    )


def small(classes: int) -> nn.Sequential:
    return nn.Sequential(
        *(grid(2), conv(1, 2, 2, 2, stride=4), relu(2), nn.Flatten()),
        qnn.QuantLinear(8, classes, bias=True, weight_bit_width=2),
    )


class Heard(SilentListener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def remark(self, text: str) -> None:
        self.notes.append(text)


@functools.cache
def draft(build: Callable[[int], nn.Sequential], **options: Any) -> tuple[Draft, list[str]]:
    heard = Heard()
    architecture = Architecture("own:net", Standardisation(SIDE), build)
    inputs = torch.randn(64, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    request = TrainingRequest("phantom", "own:net", **options)
    return fitted(architecture, ("a", "b"), inputs, request, RECORDED, heard), heard.notes


@pytest.mark.parametrize("build", [small, plain, branched])
def test_widths_are_those_of_the_tables_that_the_conversion_makes(build: Callable[[int], nn.Sequential]) -> None:
    architecture = Architecture("own", Standardisation(SIDE), build)
    network = check_convertible(architecture, ("a", "b"))
    found = {each.layer: each.bits for each in table_inputs(untrained(architecture, 2)[0], (1, SIDE, SIDE))}
    tables = {
        layer.name: network.table_bits(Segment(index, index + 1))
        for index, layer in enumerate(network.layers)
        if layer.name in found
    }
    assert tables.keys() == {name for name in found if "grid" not in name}
    assert all(found[name] - 1 <= bits <= found[name] for name, bits in tables.items())


def test_a_network_that_builds_stays_as_it_was_written() -> None:
    found, notes = draft(small)
    assert found.adjustments == ()
    assert found.bootstraps == 8
    assert [note for note in notes if "rounded" in note] == []
    assert "give a `profile` of this machine" in notes[-1]


def test_an_ordinary_network_is_rounded_where_it_has_to_be_and_every_change_is_said() -> None:
    found, notes = draft(plain)
    assert [each.kind for each in found.adjustments] == ["rounding"] * 3
    assert [each.layer for each in found.adjustments] == ["act1", "act2", "act3"]
    assert found.table_bits == 5
    assert notes[:3] == [str(each) for each in found.adjustments]
    assert "accumulators behind module 1, which act1 reads: rounded from" in notes[0]


def test_rounding_that_was_written_is_left_alone_where_no_time_is_given() -> None:
    def written(classes: int) -> nn.Sequential:
        net = plain(classes)
        net.insert(2, RoundedAccumulator(2, bits=7))
        return net

    reads = table_inputs(untrained(Architecture("own", Standardisation(SIDE), written), 2)[0], (1, SIDE, SIDE))
    assert [(each.bits, each.rounding is not None) for each in reads[:1]] == [(7, True)]
    untimed = [each.layer for each in UNTIMED[0].adjustments(written(2), reads)]
    timed = [each.layer for each in TIMED[0].adjustments(written(2), reads)]
    assert untimed == ["act2", "act3"]
    assert timed == ["act1", "act2", "act3"]


def test_less_time_is_kept_by_fewer_bits() -> None:
    free, _ = draft(plain)
    half, _ = draft(plain, max_evaluate_ms=free.evaluate_ms / 3)
    assert half.evaluate_ms <= free.evaluate_ms / 3
    assert half.table_bits < free.table_bits
    assert half.bootstraps == free.bootstraps


def test_blocks_maxima_and_averages_are_made_to_fit_too() -> None:
    free, _ = draft(branched)
    modules = {each.module for each in free.adjustments}
    assert {"1", "4.body.0"} <= modules
    found, _ = draft(branched, max_evaluate_ms=free.evaluate_ms / 2)
    assert found.evaluate_ms <= free.evaluate_ms / 2
    assert any(each.kind == "grid" for each in found.adjustments)  # what a maximum compares


def test_what_is_to_stay_as_it_is_is_refused_with_layer_width_and_remedy() -> None:
    with pytest.raises(NetworkError) as caught:
        draft(plain, as_is=True)
    assert [problem.where for problem in caught.value.problems] == ["act1", "act2", "act3"]
    for problem, channels, module in zip(caught.value.problems, (2, 4, 4), ("1", "4", "7"), strict=True):
        assert "bits, and 8 are the most that a circuit affords" in problem.what
        assert f"put RoundedAccumulator({channels}, bits=5) of cryptml.networks.modules" in problem.instead
        assert f"directly behind {module}, or leave out `as_is`" in problem.instead


@pytest.mark.parametrize("build", [small, plain])
def test_a_time_that_nothing_keeps_is_refused_with_the_layer_that_takes_it(
    build: Callable[[int], nn.Sequential],
) -> None:
    with pytest.raises(NetworkError) as caught:
        draft(build, max_evaluate_ms=1.0)
    (problem,) = caught.value.problems
    assert problem.where == "act1"
    assert "ms, above 1; it has" in problem.what
    assert "allow a larger `max_evaluate_ms`" in problem.instead


def test_steps_are_ever_cheaper() -> None:
    assert list(MILLIONS.values()) == sorted(MILLIONS.values())
    assert millions_of(9) == 4 * millions_of(7)
    for ladder in (UNTIMED, TIMED):
        assert all(one.rounded >= other.rounded for one, other in itertools.pairwise(ladder))
        assert all(step.rounded <= step.widest for step in ladder)


def test_changes_are_data_and_come_to_the_same_network_again() -> None:
    found, _ = draft(branched)
    again = [Adjustment.from_json(json.loads(json.dumps(each.to_json()))) for each in found.adjustments]
    assert tuple(again) == found.adjustments
    module = adjusted(branched(2), again)
    x = torch.randn(4, 1, SIDE, SIDE)
    assert module.train()(x).shape == (4, 2)
    assert sum(isinstance(each, RoundedAccumulator) for each in module.modules()) == len(again)
    once = adjusted(branched(2), [Adjustment("rounding", "1", 5, 9), Adjustment("grid", "3", 3, 4)])
    twice = adjusted(once, [Adjustment("rounding", "1", 3, 5), Adjustment("weights", "1", 2, 4)])
    rounded = [each for each in twice.modules() if isinstance(each, RoundedAccumulator)]
    assert [each.bits for each in rounded] == [3]
    assert (width_of(twice.get_submodule("3"), "grid"), width_of(twice.get_submodule("1"), "weights")) == (3, 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Adjustment("grid", "no.such", 2, 4), "has no module 'no.such' to be changed"),
        (Adjustment("rounding", "11", 2, 4), "has no module '11' to be changed"),
        (Adjustment("weights", "2", 2, 4), "'2' has no fixed width to be lowered"),
    ],
)
def test_a_change_of_nothing_is_refused(change: Adjustment, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        adjusted(small(2), [change])


@pytest.mark.skipif(not PROFILES.is_dir(), reason="recorded profiles are not installed")
def test_the_recorded_price_is_that_of_the_recorded_profiles() -> None:
    found = PriceModel.fit([load_report(path) for path in sorted(PROFILES.glob("*/xeon-2-cores/profile.json"))])
    for name in ("call", "received", "sent", "work", "points", "median_error", "worst_error"):
        assert np.isclose(getattr(found, name), getattr(RECORDED, name), rtol=1e-3, atol=1e-4), name


def test_training_keeps_the_changes_and_builds_the_network_from_them_again(tmp_path: Path) -> None:
    spec = f"{__name__}:plain"
    request = TrainingRequest("phantom:images=60", spec, epochs=2, views=1, teacher=False, max_evaluate_ms=3000)
    drafts: list[Draft] = []
    result = train(request, tmp_path / "net", heard=drafts.append)
    document = json.loads((tmp_path / "net" / "network.json").read_text())
    assert document["adjustments"] == [each.to_json() for each in drafts[0].adjustments]
    assert result.network.table_bits(Segment(0, len(result.network))) == drafts[0].table_bits
    module = load_checkpoint(str(tmp_path / "net"), load_network(tmp_path / "net"), spec)
    pictures = np.random.default_rng(0).random((8, SIDE, SIDE), dtype=np.float32)
    assert largest_difference(module, result.network, pictures) < max(result.network.boundaries[-1].scale)
    card = (tmp_path / "net" / "MODEL_CARD.md").read_text()
    assert "--max-evaluate-ms 3000" in card
    assert all(str(each) in card for each in drafts[0].adjustments)


@pytest.mark.encrypted
def test_a_fitted_network_answers_within_what_its_rounding_may_change(tmp_path: Path) -> None:
    def wide(classes: int) -> nn.Sequential:
        return nn.Sequential(
            *(grid(), nn.Flatten(), qnn.QuantLinear(SIDE * SIDE, 3, bias=True, weight_bit_width=4), relu(3)),
            qnn.QuantLinear(3, classes, bias=True, weight_bit_width=3),
        )

    found, _ = draft(wide, max_evaluate_ms=60)
    assert found.table_bits <= 5
    segment = Segment(0, len(found.network))
    compiled = compile_integer_program(found.network, segment, DEFAULT_COMPILER_SETTINGS)
    compiled.move_to(tmp_path / "circuit")
    keys = KeySet.generate(compiled.spec)
    client, evaluation_keys = ClientCircuit(compiled.spec, keys), load_evaluation_keys(keys.evaluation_keys)
    server = ServerCircuit(tmp_path / "circuit")
    values = found.network.quantise(np.random.default_rng(0).random((3, SIDE, SIDE), dtype=np.float32))
    for each in values:
        answer = client.decrypt(server.evaluate(client.encrypt(each[None]), evaluation_keys))
        assert split_envelope(found.network, Split("S" * len(found.network)), each[None]).holds(answer)


def test_a_time_below_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="`max_evaluate_ms` is -1; give more than 0"):
        train(TrainingRequest("phantom", "tiny", max_evaluate_ms=-1), tmp_path / "net")
