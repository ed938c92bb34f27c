"""A network that rounds, from bundle to answer, over real HTTP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cryptml_client import Client, KeyStore, Scan

from cryptml.bundle.build import build_bundle
from cryptml.errors import RangeError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.images import Image, Region
from cryptml.networks import load_network
from cryptml.networks.rounding.clamping import within_bins
from cryptml.networks.rounding.envelope import matches_clear, split_envelope
from cryptml.profiler.measure.samples import sample_region
from cryptml.splits import Segment, Split
from cryptml.verification.local_service import local_service

pytestmark = [pytest.mark.encrypted, pytest.mark.usefixtures("unmeasured_children")]
SCATTER = load_network("scatter")
WHOLE = Segment(0, 3)


@pytest.mark.parametrize("letters", ["SSS", "CSS"])
def test_answers_are_the_clear_ones_up_to_rounding(letters: str, tmp_path: Path) -> None:
    split = Split(letters)
    build_bundle(SCATTER, split, tmp_path / "bundle", backend=compile_integer_program)
    with (
        local_service([tmp_path / "bundle"], tmp_path / "data") as service,
        Client(service.url, keys=KeyStore(tmp_path / "keys"), trust_first_use=True) as client,
    ):
        (step,) = client.bundle.server_steps
        assert step.circuit.approximate == (letters == "SSS")
        assert (step.circuit.codec.input_bins is None) == (letters == "SSS")
        for seed in range(3):
            region = sample_region(SCATTER, seed)
            values = SCATTER.quantise(region[None])
            possible = split_envelope(SCATTER, split, values)
            if within_bins(SCATTER, values, WHOLE)[0] or letters == "CSS":
                answer = client.predict_region(region).answer
                assert possible.holds(answer.integers[None])
                assert np.array_equal(possible.low, possible.high) == (letters == "CSS")
        picture = Image(np.tile(region, (2, 1)), "test")
        squares = (Region(0, 0, 28), Region(0, 28, 28))
        answers = list(Scan(client, picture, squares, tmp_path / "journal").answers())
        assert [each.region for each in answers] == list(squares)


def test_a_picture_out_of_range_has_no_right_answer_to_compare_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptml.networks.rounding.envelope.within_bins", lambda *_: np.array([False]))
    square = np.random.default_rng(0).random((28, 28), dtype=np.float32)
    with pytest.raises(RangeError, match="no right answer to compare with"):
        matches_clear(SCATTER, square, Split("SSS"), np.zeros(2, np.int64))
