"""The synthetic set: its statistics, its options, and that it never changes by itself."""

from __future__ import annotations

import numpy as np
import pytest

from cryptml.datasets import load_dataset, phantom
from cryptml.errors import DatasetError


def fitted_exponent(side: int, beta: float) -> float:
    """Slope of the radially averaged power spectrum on log-log axes, of 64 windowed fields."""
    window = np.outer(np.hanning(side), np.hanning(side))
    power = np.zeros((side, side))
    for seed in range(64):
        field = phantom.background(np.random.default_rng(seed), side, beta)
        power += np.abs(np.fft.fft2((field - field.mean()) * window)) ** 2
    radius = np.rint(np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side))) * side)
    radii = np.arange(3, int(0.4 * side))
    means = [power[radius == each].mean() for each in radii]
    return -float(np.polyfit(np.log(radii), np.log(means), 1)[0])


@pytest.mark.parametrize("side", [32, 64])
def test_background_falls_with_the_third_power(side: int) -> None:
    assert fitted_exponent(side, phantom.BETA) == pytest.approx(3.0, abs=0.3)


def test_the_fit_tells_exponents_apart() -> None:
    assert fitted_exponent(64, 2.0) == pytest.approx(2.0, abs=0.3)


def test_background_has_unit_deviation() -> None:
    fields = [phantom.background(np.random.default_rng(seed), 64) for seed in range(100)]
    assert np.mean(fields) == pytest.approx(0, abs=0.1)
    assert np.sqrt(np.mean(np.square(fields))) == pytest.approx(1, abs=0.05)


def test_lesions_lie_inside_and_reach_their_peak() -> None:
    for seed in range(60):
        mass = phantom.lesion(np.random.default_rng(seed), 64)
        assert mass.shape == (64, 64)
        assert 0.9 < mass.max() <= 1
        assert mass.min() >= 0
        assert max(mass[0].max(), mass[-1].max(), mass[:, 0].max(), mass[:, -1].max()) < 0.05
        assert 0.005 < mass.mean() < 0.2


def test_defaults() -> None:
    dataset = load_dataset("phantom", 32)
    assert dataset.images.shape == (400, 32, 32)
    assert np.bincount(dataset.labels).tolist() == [200, 200]
    assert dataset.classes == ("background", "lesion")
    assert len(set(dataset.patients)) == 200
    assert np.mean((dataset.images == 0) | (dataset.images == 1)) < 0.001
    assert set(dataset.subsets) == {"train", "validation", "test"}


def test_is_deterministic_and_grows_without_changing() -> None:
    few, many = load_dataset("phantom:images=10,seed=3", 16), load_dataset("phantom:images=16,seed=3", 16)
    np.testing.assert_array_equal(few.images, many.images[:10])
    assert few.patients == many.patients[:10]
    assert few.subsets == many.subsets[:10]
    other = load_dataset("phantom:images=10,seed=4", 16)
    assert not np.array_equal(few.images, other.images)
    assert not set(few.patients) & set(other.patients)


def test_contrast_is_what_lesions_add() -> None:
    faint, strong = (load_dataset(f"phantom:images=80,contrast={value}", 32) for value in (0.05, 0.3))
    lesion = faint.labels == 1
    np.testing.assert_array_equal(faint.images[~lesion], strong.images[~lesion])
    added = (strong.images - faint.images)[lesion].max(axis=(1, 2))
    assert added.max() == pytest.approx(0.25, abs=0.01)
    assert added.min() > 0.2


def test_the_smallest_set_has_both_classes() -> None:
    assert load_dataset("phantom:images=2", 8).labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("images=1", "images=1"),
        ("images=100001", "100000"),
        ("seed=-1", "seed=-1"),
        ("contrast=0", "contrast=0"),
        ("contrast=nan", "contrast=nan"),
        ("contrast=0.6", "up to 0.5"),
        ("images=ten", "not a number"),
        ("images", "not a number"),
        ("sides=3", "unknown"),
        ("seed=1,seed=2", "twice"),
    ],
)
def test_bad_options(options: str, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        load_dataset(f"phantom:{options}", 16)


def test_too_many_values() -> None:
    with pytest.raises(DatasetError, match="at most images=256"):
        load_dataset("phantom:images=400", 1024)
