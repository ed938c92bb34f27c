"""What a client does next never depends on what it decrypted: whoever evaluates sees every step asked for, whatever the answers were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from cryptml.bundle import ClientBundle, ServerStep
from cryptml.bundle.server import ServerBundle
from cryptml.errors import CiphertextError, RangeError
from cryptml.networks import FloatArray, IntArray, Network
from cryptml.runtime import ClearEvaluator, SegmentEvaluator, Timings, run_split

pytestmark = pytest.mark.encrypted

SPLIT = "SCSCS"
"""Three server segments, with client layers between them."""


@dataclass
class Altering:
    """Evaluates in the clear, and alters the answer of one segment as a dishonest service could by altering a ciphertext."""

    honest: SegmentEvaluator
    segment: int
    alter: Callable[[ServerStep, IntArray], IntArray]
    asked: list[tuple[int, tuple[int, ...], bool]] = field(default_factory=list)

    def evaluate(self, step: ServerStep, values: IntArray, timings: Timings) -> IntArray:
        """Note what would be sent: which segment, how large, and whether it could be encrypted."""
        self.asked.append((step.index, values.shape, step.circuit.reads.describe_violation(values) is None))
        answer = self.honest.evaluate(step, values, timings)
        return step.circuit.check_answer(self.alter(step, answer)) if step.index == self.segment else answer


ALTERED: dict[str, Callable[[ServerStep, IntArray], IntArray]] = {
    "as it is": lambda _, values: values,
    "zero": lambda step, values: np.full_like(values, step.circuit.writes.low),
    "another value in range": lambda step, values: step.circuit.writes.high + step.circuit.writes.low - values,
    "too large": lambda step, values: values + step.circuit.writes.high + 1,
    "far too small": lambda _, values: values - (1 << 40),
    "one value out of range": lambda step, values: np.where(
        np.arange(values.size).reshape(values.shape) == 0, step.circuit.writes.high + 1, values
    ),
}


@pytest.mark.parametrize("segment", [0, 1, 2])
@pytest.mark.parametrize("name", ALTERED)
def test_every_step_is_asked_for_whatever_was_decrypted(
    tiny: Network, build_tiny: Callable[[str], ServerBundle], tiny_regions: FloatArray, name: str, segment: int
) -> None:
    bundle = ClientBundle.load(build_tiny(SPLIT).folder / "client")
    honest = Altering(ClearEvaluator(tiny), segment, ALTERED["as it is"])
    expected = run_split(bundle, tiny_regions[0], honest).integers
    altering = Altering(ClearEvaluator(tiny), segment, ALTERED[name])
    if "large" in name or "small" in name or "out of range" in name:
        with pytest.raises(RangeError, match="the decrypted answer of segment"):
            run_split(bundle, tiny_regions[0], altering)
    else:
        found = run_split(bundle, tiny_regions[0], altering).integers
        assert name != "as it is" or np.array_equal(found, expected)
    assert altering.asked == honest.asked
    assert [index for index, _, _ in altering.asked] == [0, 1, 2]
    assert all(encryptable for _, _, encryptable in altering.asked)


def test_what_is_no_ciphertext_ends_the_question(
    tiny: Network, build_tiny: Callable[[str], ServerBundle], tiny_regions: FloatArray
) -> None:
    """Anybody can see that: it tells nothing about a key."""

    def fail(step: ServerStep, values: IntArray) -> IntArray:
        raise CiphertextError("not a ciphertext")

    bundle = ClientBundle.load(build_tiny(SPLIT).folder / "client")
    altering = Altering(ClearEvaluator(tiny), 0, fail)
    with pytest.raises(CiphertextError):
        run_split(bundle, tiny_regions[0], altering)
    assert len(altering.asked) == 1
