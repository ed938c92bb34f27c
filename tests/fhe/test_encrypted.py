"""Truly encrypted segments give the integers of the clear ones."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryptml.bundle import ClientBundle, ServerStep
from cryptml.bundle.build import build_bundle
from cryptml.bundle.server import ServerBundle
from cryptml.errors import CiphertextError, CircuitError, KeySetError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.fhe.server import ServerCircuit, load_evaluation_keys
from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS, CompilerSettings, Grouping
from cryptml.networks import FloatArray, IntArray, Network
from cryptml.runtime import ClearEvaluator, Timings, run_split
from cryptml.splits import Segment, Split, enumerate_segments, enumerate_splits

pytestmark = pytest.mark.encrypted


class LocalEvaluator:
    """Both halves in one process: encryption is real, only the wire is missing."""

    def __init__(self, bundle: ServerBundle) -> None:
        self.bundle = bundle
        self.halves: dict[int, tuple[ClientCircuit, ServerCircuit, Any]] = {}

    def evaluate(self, step: ServerStep, values: IntArray, timings: Timings) -> IntArray:
        if step.index not in self.halves:
            keys = KeySet.generate(step.circuit)
            self.halves[step.index] = (
                ClientCircuit(step.circuit, keys),
                ServerCircuit(self.bundle.circuit_folder(step.index)),
                load_evaluation_keys(keys.evaluation_keys),
            )
        client, server, evaluation_keys = self.halves[step.index]
        return client.decrypt(server.evaluate(client.encrypt(values), evaluation_keys))


@pytest.mark.parametrize(
    "split", ["SSSSS", "CSSCS", "SCCSS", "CCSCC"], ids=["all server", "mixed", "mixed too", "linear only"]
)
def test_encrypted_split_gives_the_clear_integers(
    split: str, tiny: Network, tiny_regions: FloatArray, build_tiny: Callable[[str], ServerBundle]
) -> None:
    bundle = build_tiny(split)
    client = ClientBundle.load(bundle.folder / "client")
    evaluator = LocalEvaluator(bundle)
    for region in tiny_regions[:3]:
        clear = run_split(client, region, ClearEvaluator(tiny))
        expected = tiny.run(tiny.quantise(region[None]))[0]
        assert np.array_equal(clear.integers, expected)
        assert np.array_equal(run_split(client, region, evaluator).integers, expected)


def test_a_broken_pipe_is_an_error_after_an_evaluation_as_before(build_tiny: Callable[[str], ServerBundle]) -> None:
    """Concrete's runtime takes the signal and ends the process at it, and with it a program whose output nobody reads."""
    bundle = build_tiny("CCSCC")
    (step,) = ClientBundle.load(bundle.folder / "client").server_steps
    LocalEvaluator(bundle).evaluate(step, np.ones((1, *step.circuit.reads.shape), dtype=np.int64), Timings())
    status = Path("/proc/self/status").read_text().split("SigIgn:")[1].split()[0]
    assert int(status, 16) >> (signal.SIGPIPE - 1) & 1
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(BrokenPipeError):
        ours.send(b"x")


def test_settings_chosen_for_a_segment_are_its_own(tiny: Network, tiny_regions: FloatArray, tmp_path: Path) -> None:
    """One segment with another p_error and grouping, the other with the default ones; the answers stay the same."""
    chosen = CompilerSettings(2.0**-48, Grouping.WIDTH_AND_NORM)
    bundle = build_bundle(
        tiny, Split("SSCSS"), tmp_path / "bundle", backend=compile_integer_program, chosen={Segment(0, 2): chosen}
    )
    assert [circuit["p_error"] for circuit in bundle.circuits] == [chosen.p_error, DEFAULT_COMPILER_SETTINGS.p_error]
    client, evaluator = ClientBundle.load(bundle.folder / "client"), LocalEvaluator(bundle)
    for region in tiny_regions[:2]:
        found = run_split(client, region, evaluator).integers
        assert np.array_equal(found, tiny.run(tiny.quantise(region[None]))[0])


def test_every_split_composes_to_the_unsplit_integers(
    tiny: Network, tiny_regions: FloatArray, build_tiny: Callable[[str], ServerBundle]
) -> None:
    expected = tiny.run(tiny.quantise(tiny_regions[:16]))
    for split in enumerate_splits(len(tiny)):
        client = ClientBundle.load(build_tiny(split.letters).folder / "client")
        found = [run_split(client, region, ClearEvaluator(tiny)).integers for region in tiny_regions[:16]]
        assert np.array_equal(found, expected), split


@pytest.mark.parametrize("name", ["tiny", "reference"])
def test_every_segment_compiles_securely(name: str, request: pytest.FixtureRequest) -> None:
    network: Network = request.getfixturevalue(name)
    for segment in enumerate_segments(len(network)):
        compiled = compile_integer_program(network, segment, DEFAULT_COMPILER_SETTINGS)
        compiled.spec.require_fit()
        assert compiled.spec.parameters.input_shape == (1, *network.boundaries[segment.start].shape)
        assert compiled.spec.bootstraps == network.bootstraps(segment)
        assert (compiled.spec.bootstraps == 0) == network.is_linear(segment)
        compiled.discard()


def test_the_worst_case_does_not_overflow(tiny: Network, build_tiny: Callable[[str], ServerBundle]) -> None:
    """Inputs that drive accumulators to their bounds decrypt right, although no region would produce them."""
    bundle = build_tiny("CCSSS")
    (step,) = ClientBundle.load(bundle.folder / "client").server_steps
    evaluator = LocalEvaluator(bundle)
    shape = (1, *step.circuit.reads.shape)
    for value in (step.circuit.reads.low, step.circuit.reads.high):
        values = np.full(shape, value, dtype=np.int64)
        assert np.array_equal(evaluator.evaluate(step, values, Timings()), tiny.run(values, Segment(2, 5)))


def test_halves_refuse_what_is_not_theirs(tiny: Network, build_tiny: Callable[[str], ServerBundle]) -> None:
    linear = ClientBundle.load(build_tiny("CCSCC").folder / "client").server_steps[0].circuit
    other = ClientBundle.load(build_tiny("SCCSS").folder / "client").server_steps[0].circuit
    keys = KeySet.generate(linear)
    client = ClientCircuit(linear, keys)
    values = np.zeros((1, *linear.reads.shape), dtype=np.int64)
    ciphertext = client.encrypt(values)

    with pytest.raises(KeySetError, match="another circuit"):
        ClientCircuit(other, keys)
    with pytest.raises(CircuitError, match=r"outside \[0, 3\]"):
        client.encrypt(values + 4)
    with pytest.raises(CircuitError, match="shape"):
        client.encrypt(values[:, :1])
    for damaged in (b"", ciphertext[: len(ciphertext) // 2], bytes(len(ciphertext))):
        with pytest.raises(CiphertextError):
            client.decrypt(damaged)
    server = ServerCircuit(build_tiny("CCSCC").circuit_folder(0))
    with pytest.raises(CiphertextError, match="is not as long as it says"):
        server.evaluate(ciphertext[:-200], load_evaluation_keys(keys.evaluation_keys))
    with pytest.raises(KeySetError, match="are not as long as they say"):
        load_evaluation_keys(keys.evaluation_keys[:-8])
    with pytest.raises(KeySetError, match="malformed"):
        KeySet.deserialise(linear, b"no keys")


def test_an_answer_of_other_keys_does_not_pass_for_one(build_tiny: Callable[[str], ServerBundle]) -> None:
    """What one key set encrypted is noise to another; decrypting it is refused, or at the least gives other values."""
    bundle = build_tiny("CCSSS")
    (step,) = ClientBundle.load(bundle.folder / "client").server_steps
    ours, theirs = KeySet.generate(step.circuit), KeySet.generate(step.circuit)
    server = ServerCircuit(bundle.circuit_folder(0))
    values = np.ones((1, *step.circuit.reads.shape), dtype=np.int64)
    answer = server.evaluate(
        ClientCircuit(step.circuit, theirs).encrypt(values), load_evaluation_keys(theirs.evaluation_keys)
    )
    expected = ClientCircuit(step.circuit, theirs).decrypt(answer)
    try:
        found = ClientCircuit(step.circuit, ours).decrypt(answer)
    except CircuitError as error:
        assert "other keys or altered" in str(error)
    else:
        assert not np.array_equal(found, expected)
