"""Front ends side by side, and scattering that is averaged over turns."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptml.errors import NetworkError
from cryptml.files import parse_json
from cryptml.networks import FloatArray, Scattering
from cryptml.networks.architectures.design import Design
from cryptml.networks.front_ends import Deep, Joined, restore_front_end

TURNED = Scattering(32, 3, 4, turned=True)
JOINED = Joined(32, (Deep(16, "square", 1), TURNED))


def regions(seed: int, count: int = 2) -> FloatArray:
    return np.random.default_rng(seed).random((count, 32, 32), np.float32)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([16, 32]), st.sampled_from([16, 32]))
def test_parts_stand_one_after_the_other(seed: int, first: int, second: int) -> None:
    parts = (Deep(first), Scattering(second, 2, 3))
    found = Joined(32, parts).apply(regions(seed))
    assert found.dtype == np.float32
    start = 0
    for part in parts:
        reduced = regions(seed).reshape(2, part.side, 32 // part.side, part.side, 32 // part.side).mean(axis=(2, 4))
        np.testing.assert_allclose(found[:, start : start + part.shape[0]], part.apply(reduced), atol=1e-4)
        start += part.shape[0]
    assert found.shape == (2, start)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 3), st.booleans())
def test_turns_and_mirror_images_change_nothing(seed: int, quarters: int, mirrored: bool) -> None:
    other = np.rot90(regions(seed), quarters, axes=(1, 2))
    other = np.ascontiguousarray(other[:, :, ::-1] if mirrored else other)
    np.testing.assert_allclose(JOINED.apply(other), JOINED.apply(regions(seed)), atol=1e-4)


@pytest.mark.parametrize("octaves", [1, 2, 3])
@pytest.mark.parametrize("directions", [1, 3, 4])
def test_angles_between_directions_are_what_is_left(octaves: int, directions: int) -> None:
    """Averages by a loop over all pairs of directions, on the transform without averages."""
    plain = Scattering(32, octaves, directions).apply(regions(1)).astype(np.float64)
    wanted, start = (
        [plain[:, o * directions : (o + 1) * directions].mean(1) for o in range(octaves)],
        octaves * directions,
    )
    for first in range(octaves - 1):
        later = octaves - 1 - first
        block = plain[:, start : start + directions**2 * later].reshape(-1, directions, later, directions)
        start += directions**2 * later
        for angle in range(directions // 2 + 1):
            pairs = [
                block[:, t, :, u]
                for t in range(directions)
                for u in range(directions)
                if (t - u) % directions in (angle, -angle % directions)
            ]
            wanted += list(np.mean(pairs, axis=0).T)
    found = Scattering(32, octaves, directions, turned=True)
    assert found.shape == (len(wanted),)
    np.testing.assert_allclose(found.apply(regions(1)), np.stack(wanted, axis=1), atol=1e-5)


@pytest.mark.parametrize("front_end", [JOINED, Joined(32, (TURNED,)), TURNED])
def test_what_is_written_is_read(front_end: Joined | Scattering) -> None:
    document = json.loads(json.dumps(front_end.to_json()))
    assert restore_front_end(document) == front_end
    assert "averaged over turns and mirror images" in front_end.description
    design = Design(front_end, 1, (), 4, True, "triangle", False, 6, 4, 3, 3, 1.0)
    text = json.dumps({"format": "cryptml-design", "format_version": 1, **design.to_json()}).encode()
    assert Design.from_json(parse_json(text, "design.schema.json", "the design", NetworkError)) == design
    inner = {"kind": "joined", "side": 32, "parts": [document]}
    if front_end != TURNED:  # no part has parts
        broken = json.dumps({**json.loads(text), "front_end": inner}).encode()
        with pytest.raises(NetworkError, match="front_end"):
            parse_json(broken, "design.schema.json", "the design", NetworkError)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Joined(32, ()), "0 front ends cannot be joined; give 1 to 4"),
        (lambda: Joined(32, (Deep(32),) * 5), "5 front ends"),
        (lambda: Joined(40, (Deep(32),)), "side 32 cannot read a region of side 40"),
        (lambda: JOINED.apply(regions(0)[:, :16]), "do not fit"),
        (lambda: Scattering(32, 3, 4, 2, turned=True), "one cell and no harmonics, not 2 and None"),
        (lambda: Scattering(32, 3, 4, 1, 1, True), "one cell and no harmonics, not 1 and 1"),
    ],
)
def test_what_cannot_be_computed_is_refused(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(NetworkError, match=message):
        make()
