"""Regions with known answers, mixed in at random: an honest service passes, one that evaluates another network is found out."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptml_client import Client, KeyStore, SpotCheckFailed, UnacceptedBundle
from cryptml_client.trust.spot_checking import SpotChecking, detection_probability
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from cryptml.bundle import ClientBundle
from cryptml.bundle.build import build_bundle
from cryptml.bundle.server import ServerBundle
from cryptml.bundle.spot_checks import FILE, MOST_CHECKS, SpotChecks, make_spot_checks
from cryptml.errors import BundleError, RangeError, SettingError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.networks import FloatArray, IntArray, Network
from cryptml.networks.boundary import Boundary
from cryptml.networks.layers import Linear
from cryptml.runtime import ClearEvaluator, run_split
from cryptml.splits import Split
from cryptml.verification.local_service import local_service

pytestmark = pytest.mark.usefixtures("unmeasured_children")

P_ERROR = 2.0**-40
CHECKS = 16


def other(network: Network, seed: int = 1) -> Network:
    """The same network with another last layer: the weights of a model that a service would rather sell."""
    last = network.layers[-1]
    assert isinstance(last, Linear)
    generator = np.random.default_rng(seed)
    weight = generator.permuted(last.weight, axis=1)  # which leaves the range of each sum
    return replace(network, layers=(*network.layers[:-1], replace(last, weight=weight)))


@pytest.fixture(scope="module")
def checked(tiny: Network, tmp_path_factory: pytest.TempPathFactory) -> ServerBundle:
    out = tmp_path_factory.mktemp("checked") / "bundle"
    return build_bundle(tiny, Split("CCSSS"), out, backend=compile_integer_program, spot_checks=CHECKS)


def made(network: Network, split: str, count: int = CHECKS) -> SpotChecks:
    checks = make_spot_checks(network, Split(split), count, p_error=P_ERROR, seed=5)
    assert checks is not None
    return checks


def test_an_exact_network_has_one_right_answer(tiny: Network) -> None:
    checks = made(tiny, "CCSSS")
    assert np.array_equal(checks.low, checks.high)
    assert np.array_equal(checks.low, tiny.run(tiny.quantise(checks.regions)))


@pytest.mark.parametrize("split", ["CCSSS", "SSSSS"])
def test_intervals_hold_noisy_answers_that_they_were_not_made_from(reference: Network, split: str) -> None:
    from cryptml.bundle.spot_checks import _run_noisily
    from cryptml.networks.rounding.noise import NoisyOperations

    checks = made(reference, split, 2)
    values = reference.quantise(checks.regions)
    operations = NoisyOperations(P_ERROR, np.random.default_rng(99))
    for _ in range(100):
        answers = _run_noisily(reference, Split(split), values, operations)
        assert all(checks.holds(index, answer) for index, answer in enumerate(answers))
    assert np.mean(checks.high - checks.low) < 0.25 * (reference.boundaries[-1].high - reference.boundaries[-1].low)


@pytest.mark.parametrize("count", [-1, 0, MOST_CHECKS + 1])
def test_so_many_cannot_be(tiny: Network, count: int) -> None:
    with pytest.raises(BundleError, match=f"{count} spot checks"):
        make_spot_checks(tiny, Split("CCSSS"), count, p_error=P_ERROR, seed=0)


LAST = Boundary((2,), 0, 30, (1.0,))


def tensors(**changes: Any) -> bytes:
    usual: dict[str, Any] = {
        "regions": np.full((3, 8, 8), 0.5, np.float32),
        "low": np.zeros((3, 2), np.int64),
        "high": np.full((3, 2), 9, np.int64),
    }
    return bytes(save({name: value for name, value in {**usual, **changes}.items() if value is not None}))


def test_what_is_packed_is_read_again(tiny: Network) -> None:
    checks = made(tiny, "CCSSS")
    again = SpotChecks.unpack(checks.pack(), 8, tiny.boundaries[-1])
    assert np.array_equal(again.regions, checks.regions)
    assert np.array_equal(again.low, checks.low)
    SpotChecks.unpack(tensors(), 8, LAST)


MALFORMED = {
    "nothing": b"",
    "no safetensors": b"\x08\0\0\0\0\0\0\0{}",
    "a head that claims terabytes": b"\xff\xff\xff\xff\xff\0\0\0{}",
    "a number for regions": (lambda head: len(head).to_bytes(8, "little") + head + bytes(4 + 16))(
        b'{"regions":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"low":{"dtype":"I64","shape":[1],"data_offsets":[4,12]},'
        b'"high":{"dtype":"I64","shape":[1],"data_offsets":[12,20]}}'
    ),
    "regions missing": tensors(regions=None),
    "a further tensor": tensors(more=np.zeros(3, np.float32)),
    "none": tensors(
        regions=np.zeros((0, 8, 8), np.float32), low=np.zeros((0, 2), np.int64), high=np.zeros((0, 2), np.int64)
    ),
    "too many": tensors(
        regions=np.zeros((MOST_CHECKS + 1, 8, 8), np.float32),
        low=np.zeros((MOST_CHECKS + 1, 2), np.int64),
        high=np.zeros((MOST_CHECKS + 1, 2), np.int64),
    ),
    "regions of another size": tensors(regions=np.zeros((3, 9, 9), np.float32)),
    "regions of doubles": tensors(regions=np.zeros((3, 8, 8))),
    "no grey levels": tensors(regions=np.full((3, 8, 8), np.nan, np.float32)),
    "too bright": tensors(regions=np.full((3, 8, 8), 1.5, np.float32)),
    "answers of another length": tensors(low=np.zeros((3, 3), np.int64)),
    "real answers": tensors(low=np.zeros((3, 2))),
    "empty intervals": tensors(low=np.full((3, 2), 10, np.int64)),
    "answers beyond the boundary": tensors(high=np.full((3, 2), 31, np.int64)),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_spot_checks_are_refused(name: str) -> None:
    with pytest.raises(BundleError, match="the bundle's spot checks are not"):
        SpotChecks.unpack(MALFORMED[name], 8, LAST)


@pytest.mark.parametrize("share", [-0.1, 0.95, float("nan"), float("inf")])
def test_shares_out_of_bounds_are_refused(share: float) -> None:
    with pytest.raises(SettingError, match="share of spot checks"):
        SpotChecking(share)


def test_spot_checks_that_were_asked_for_must_be_there() -> None:
    with pytest.raises(SettingError, match="holds no spot checks"):
        SpotChecking(0.1).require_possible(None)
    SpotChecking(0.0).require_possible(None)


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_formula_is_a_probability_that_grows(requests: int, share: float, wrong: float, noticed: float) -> None:
    found = detection_probability(requests, share, wrong, noticed)
    assert 0 <= found <= 1
    assert found <= detection_probability(requests + 1, share, wrong, noticed)
    assert found == pytest.approx(1 - (1 - share * wrong * noticed) ** requests, abs=1e-9)


def cheating(
    honest: Network,
    wrong_network: Network,
    wrong: float,
    generator: random.Random,
    answers: dict[tuple[bool, bytes], IntArray],
) -> Callable[[FloatArray], IntArray]:
    """Answers in the clear, as a service does that evaluates another network for a share of requests; it knows nothing of regions.

    What was computed once is remembered in ``answers``.
    """

    def ask(region: FloatArray) -> IntArray:
        cheats = generator.random() < wrong
        key = cheats, region.tobytes()
        if key not in answers:
            network = wrong_network if cheats else honest
            answers[key] = network.run(network.quantise(region[None]))[0]
        return answers[key]

    return ask


@pytest.mark.parametrize(
    ("share", "wrong", "requests"), [(0.1, 1.0, 20), (0.1, 0.3, 60), (0.05, 0.1, 200), (0.3, 0.02, 100)]
)
def test_cheats_are_found_as_often_as_the_formula_says(
    tiny: Network, share: float, wrong: float, requests: int
) -> None:
    """1,000 services each: the share that is found out lies within four standard deviations of the formula's."""
    checks, cheat = made(tiny, "CCSSS"), other(tiny)
    noticed = np.mean(
        [not checks.holds(i, cheat.run(cheat.quantise(r[None]))[0]) for i, r in enumerate(checks.regions)]
    )
    assert noticed > 0.5
    found = 0
    answers: dict[tuple[bool, bytes], IntArray] = {}
    for trial in range(1000):
        generator = random.Random(trial)
        spot, ask = SpotChecking(share, generator), cheating(tiny, cheat, wrong, generator, answers)
        try:
            for _ in range(requests):
                if spot.due():
                    spot.check(checks, ask)
        except SpotCheckFailed:
            found += 1
    expected = detection_probability(requests, share, wrong, float(noticed))
    assert abs(found / 1000 - expected) < 4 * np.sqrt(expected * (1 - expected) / 1000)


def test_an_answer_that_cannot_be_fails_a_check_and_nothing_is_asked_after_it(tiny: Network) -> None:
    checks, spot = made(tiny, "CCSSS"), SpotChecking(0.5)

    def out_of_range(_: FloatArray) -> IntArray:
        raise RangeError("out of range")

    with pytest.raises(SpotCheckFailed, match=r"spot check \d+ of 16 .*rely on none of its answers"):
        spot.check(checks, out_of_range)
    with pytest.raises(SpotCheckFailed):
        spot.due()


@pytest.mark.encrypted
def test_an_honest_service_passes_and_its_answers_are_the_same(
    checked: ServerBundle, tiny: Network, tiny_regions: FloatArray, tmp_path: Path
) -> None:
    with (
        local_service([checked.folder], tmp_path / "data") as service,
        Client(service.url, keys=KeyStore(tmp_path / "keys"), trust_first_use=True, spot_checks=0.5) as client,
    ):
        predictions = [client.predict_region(region) for region in tiny_regions[:12]]
        expected = [run_split(client.bundle, region, ClearEvaluator(tiny)).integers for region in tiny_regions[:12]]
    assert np.array_equal([each.answer.integers for each in predictions], expected)
    assert client.spot_checks_passed == sum(each.spot_checks for each in predictions) > 0
    assert predictions[0].to_json()["spot_checks"] == predictions[0].spot_checks


@pytest.fixture
def swapped(checked: ServerBundle, tiny: Network, tmp_path: Path) -> Path:
    """The pinned bundle's client half, and behind it the circuit of another network that takes the same keys."""
    from cryptml.bundle.server import ServerBundle as Server
    from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS
    from tests.service.client.swapping import swap_circuits

    (step,) = ClientBundle.load(checked.folder / "client").server_steps
    compiled = compile_integer_program(
        other(tiny), step.circuit.segment, DEFAULT_COMPILER_SETTINGS, keys_of=step.circuit
    )
    folder = swap_circuits(checked, [compiled], tmp_path / "swapped")
    assert Server.load(folder).digest == checked.digest, "to a client it is the pinned bundle"
    return folder


@pytest.mark.encrypted
def test_a_service_that_evaluates_another_network_is_found_out_for_real(
    swapped: Path, checked: ServerBundle, tiny_regions: FloatArray, tmp_path: Path
) -> None:
    """The bundle is the accepted one, the ciphertexts decrypt, the answers are in range: only the spot checks tell."""
    digest = checked.digest
    with (
        local_service([swapped], tmp_path / "data") as service,
        Client(service.url, keys=KeyStore(tmp_path / "keys"), accept_digest=digest, spot_checks=0.3) as client,
    ):
        outcomes = list(client.predict_regions(tiny_regions, in_flight=1))
        with pytest.raises(SpotCheckFailed):
            client.predict_region(tiny_regions[0])
        yes: dict[str, Any] = {"confirm": lambda *_: True}
        for again in ({}, {"trust_first_use": True}, {"accept_digest": digest}, yes):  # nor by the next program
            with (
                Client(service.url, keys=KeyStore(tmp_path / "keys"), **again) as later,
                pytest.raises(UnacceptedBundle, match="failed a spot check"),
            ):
                later.predict_region(tiny_regions[0])
    answered = sum(not isinstance(each, SpotCheckFailed) for each in outcomes)
    assert answered < len(tiny_regions)
    assert all(isinstance(each, SpotCheckFailed) for each in outcomes[answered:]), (
        "nothing is asked once it is found out"
    )


def test_a_bundle_without_them_is_as_it_was(tiny: Network, tmp_path: Path) -> None:
    built = build_bundle(tiny, Split("CCCCC"), tmp_path / "bundle", backend=compile_integer_program, spot_checks=8)
    assert ClientBundle.load(built.folder / "client").spot_checks is None, "nothing is encrypted"
    assert FILE not in built.client_files
