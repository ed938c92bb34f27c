"""Front ends: what the scattering transform sees, and what it does not."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn

from cryptml.errors import NetworkError
from cryptml.networks import FloatArray, Scattering, Standardisation
from cryptml.networks.front_ends import FRONT_ENDS, restore_front_end
from cryptml.networks.front_ends.scattering import FLOOR, LEVELS
from cryptml.networks.front_ends.wavelets import wavelets

SIDE = 32
SCATTERING = Scattering(SIDE, octaves=3, directions=4)


def textures(count: int, seed: int = 0, side: int = SIDE) -> FloatArray:
    return np.random.default_rng(seed).random((count, side, side), dtype=np.float32)


def gratings(octave: int, direction: int) -> FloatArray:
    """Return waves of one octave and direction."""
    frequency, angle = 3 * math.pi / 4 / 2**octave, math.pi * direction / SCATTERING.directions
    rows, columns = np.mgrid[:SIDE, :SIDE]
    wave = np.cos(frequency * (columns * math.cos(angle) + rows * math.sin(angle)))
    return (0.5 + 0.4 * wave[None]).astype(np.float32)


def first_order(features: FloatArray) -> FloatArray:
    """Return (octaves, directions) of one region with one cell."""
    count = SCATTERING.octaves * SCATTERING.directions
    return features[:count].reshape(SCATTERING.octaves, SCATTERING.directions)


@pytest.mark.parametrize("octave", range(3))
@pytest.mark.parametrize("direction", range(4))
def test_a_wave_is_heard_by_its_own_wavelet(octave: int, direction: int) -> None:
    heard = first_order(SCATTERING.apply(gratings(octave, direction))[0])
    assert divmod(int(heard.argmax()), heard.shape[1]) == (octave, direction)


@pytest.mark.parametrize("directions", [2, 4, 8])
@pytest.mark.parametrize("octave", [0, 1, 2])
def test_wavelets_have_no_mean_and_are_those_of_the_formula(directions: int, octave: int) -> None:
    """In space: a wave under an envelope; what a discrete wavelet has beside that is its aliases, small from the second octave on."""
    size, direction = 96, 1
    filters = wavelets(size, 3, directions)
    assert np.abs(filters[:, :, 0, 0]).max() < 1e-6
    spatial = np.fft.ifft2(filters[octave, direction])
    deviation, frequency, angle = 0.8 * 2**octave, 3 * math.pi / 4 / 2**octave, math.pi / directions
    slant = 4 / directions
    for row, column in ((0, 0), (2, -1), (0, 3), (-4, 1)):
        along = column * math.cos(angle) + row * math.sin(angle)
        across = row * math.cos(angle) - column * math.sin(angle)
        envelope = (
            math.exp(-(along**2 + (slant * across) ** 2) / (2 * deviation**2)) * slant / (2 * math.pi * deviation**2)
        )
        offset = math.exp(-((deviation * frequency) ** 2) / 2)  # the wave's own mean, without aliases
        expected = envelope * (complex(math.cos(frequency * along), math.sin(frequency * along)) - offset)
        assert spatial[row, column] == pytest.approx(expected, abs=2e-4 if octave else 0.02)


@pytest.mark.parametrize("front_end", [Scattering(32, 3, 8, 2), Scattering(64, 3, 8, 4), Scattering(32, 2, 16, 2)])
def test_one_edge_does_not_show_at_the_other(front_end: Scattering) -> None:
    """The features are those of a region reflected far beyond every wavelet's reach."""
    side = front_end.side
    ramp = np.linspace(0.1, 0.9, side, dtype=np.float32)
    regions = np.stack([np.tile(ramp, (side, 1)), np.tile(ramp[:, None], (1, side)), textures(1, 3, side)[0]])

    class Wider(Scattering):
        margin = 2 * side

    wide = Wider(side, front_end.octaves, front_end.directions, front_end.cells)
    np.testing.assert_allclose(front_end.apply(regions), wide.apply(regions), atol=0.08)


def test_a_region_goes_on_as_its_mirror_image() -> None:
    """Half periods that end at both edges go on smoothly by reflection, and would break off by any other continuation."""
    front_end = Scattering(64, octaves=3, directions=4, cells=4)
    wave = np.cos(math.pi * 11 * np.arange(64) / 63)  # close to the frequency of the third octave
    regions = np.tile((0.5 + 0.4 * wave).astype(np.float32), (1, 64, 1))
    heard = front_end.apply(regions)[0, : 12 * 16].reshape(3, 4, 4, 4)[2, 0]
    assert np.ptp(heard) < 0.05


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.5, 1.0), st.floats(0.0, 0.3))
def test_brightness_and_contrast_do_not_count(seed: int, contrast: float, brightness: float) -> None:
    regions = textures(2, seed) * np.float32(0.6)
    changed = regions * np.float32(contrast) + np.float32(brightness)
    front_end = Scattering(SIDE, 2, 4)
    np.testing.assert_allclose(front_end.apply(changed), front_end.apply(regions), atol=0.15)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_a_transposed_region_gives_mirrored_directions(seed: int) -> None:
    """Swapping rows and columns turns the angle a into a quarter turn less a, of half a turn in all."""
    region = textures(1, seed)
    heard, mirrored = (first_order(SCATTERING.apply(each)[0]) for each in (region, region.transpose(0, 2, 1)))
    places = [(2 - direction) % 4 for direction in range(4)]
    np.testing.assert_allclose(mirrored[:, places], heard, atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([2, 4]))
def test_cells_average_to_the_whole(seed: int, cells: int) -> None:
    region = textures(1, seed)
    whole, parts = SCATTERING.apply(region)[0], Scattering(SIDE, 3, 4, cells).apply(region).reshape(-1, cells**2)
    level = np.repeat(LEVELS, [3 * 4, 3 * 4 * 4])
    averages = level[:, None] * np.exp(parts) - FLOOR
    np.testing.assert_allclose(averages.mean(axis=1), level * np.exp(whole) - FLOOR, rtol=1e-4, atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 3), st.integers(1, 3))
def test_harmonics_are_fourier_and_cosine_components(seed: int, harmonics: int, cells: int) -> None:
    region, kept = textures(1, seed), 2 * harmonics + 1
    plain = Scattering(SIDE, 2, 8, cells).apply(region)[0].astype(np.float64)
    found = Scattering(SIDE, 2, 8, cells, harmonics).apply(region)[0]
    spectrum = np.fft.fft(np.eye(8), axis=0)[: harmonics + 1]
    around = (
        np.concatenate([spectrum[:1].real, *[(np.sqrt(2) * w.real, -np.sqrt(2) * w.imag) for w in spectrum[1:]]]) / 8
    )
    across = dctn(np.eye(cells), axes=[0], norm="ortho") / np.sqrt(cells)
    orders = np.array([(i + 1) // 2 for i in range(kept)])
    first = np.einsum("odrc,hd,ar,bc->ohab", plain[: 16 * cells**2].reshape(2, 8, cells, cells), around, across, across)
    second = plain[16 * cells**2 :].reshape(8, 8, cells, cells)
    second = np.einsum("deRC,hd,ie,aR,bC->hiab", second, around, around, across, across)
    a, b = np.arange(cells)[:, None], np.arange(cells)
    first = first * (1 + orders[:, None, None] + a + b)
    second = second * (1 + orders[:, None, None, None] + orders[:, None, None] + a + b)
    np.testing.assert_allclose(found, np.concatenate([first.ravel(), second.ravel()]), rtol=1e-4, atol=1e-5)


def test_a_turned_region_keeps_what_no_direction_tells_apart() -> None:
    """By a quarter turn directions move on by half their circle: even harmonics stay, odd ones change their sign."""
    front_end = Scattering(SIDE, 3, 8, 1, harmonics=2)
    region = textures(1)
    plain, turned = (front_end.apply(each)[0, :15].reshape(3, 5) for each in (region, np.rot90(region, axes=(1, 2))))
    np.testing.assert_allclose(turned, plain * [1, -1, -1, 1, 1], atol=1e-4)


def test_regions_do_not_see_each_other() -> None:
    regions = textures(3)
    together = SCATTERING.apply(regions)
    assert together.dtype == np.float32
    assert together.shape == (3, *SCATTERING.shape)
    for region, row in zip(regions, together, strict=True):
        np.testing.assert_array_equal(SCATTERING.apply(region[None])[0], row)


def test_a_flat_region_is_finite() -> None:
    assert np.isfinite(SCATTERING.apply(np.zeros((1, SIDE, SIDE), np.float32))).all()


@pytest.mark.parametrize(
    ("octaves", "directions", "cells", "harmonics", "features"),
    [(3, 8, 1, None, 217 - 1), (3, 8, 2, None, 864), (1, 4, 1, None, 4), (3, 8, 2, 2, 360), (1, 5, 2, 0, 4)],
)
def test_number_of_features(octaves: int, directions: int, cells: int, harmonics: int | None, features: int) -> None:
    front_end = Scattering(SIDE, octaves, directions, cells, harmonics)
    assert front_end.shape == (features,)
    assert front_end.apply(textures(1)).shape == (1, features)


@pytest.mark.parametrize(
    "front_end", [Standardisation(16, 0.1, 2.0), Scattering(16, 2, 6, 2), Scattering(16, 2, 7, 2, 3)]
)
def test_what_is_written_is_read(front_end: Standardisation | Scattering) -> None:
    assert isinstance(front_end, FRONT_ENDS)
    assert restore_front_end(json.loads(json.dumps(front_end.to_json()))) == front_end


@pytest.mark.parametrize(
    "arguments",
    [
        (4,),
        (1024,),
        (32, 0),
        (32, 7),
        (8, 3),
        (32, 3, 0),
        (32, 3, 17),
        (32, 3, 8, 0),
        (32, 3, 8, 9),
        (32, 3, 8, 1, 4),
        (32, 3, 8, 1, -1),
    ],
)
def test_what_cannot_be_computed_is_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(NetworkError, match=r"lies? in"):
        Scattering(*arguments)


def test_they_describe_themselves() -> None:
    assert "its own mean and deviation" in Standardisation(8).description
    assert "6 octaves" not in SCATTERING.description
    assert "60 averages of wavelet moduli" in SCATTERING.description
    assert "3 octaves, 4 directions, 1 x 1 cells" in SCATTERING.description


def test_what_would_take_too_long_is_refused() -> None:
    assert Scattering(512).maps == 216
    with pytest.raises(NetworkError, match=r"maps of \d+ pixels in all, more than 67108864; choose a smaller"):
        Scattering(512, 6, 16)


def test_regions_of_another_side_are_refused() -> None:
    with pytest.raises(NetworkError, match=r"regions of shape \(1, 16, 16\) do not fit"):
        SCATTERING.apply(textures(1, side=16))
