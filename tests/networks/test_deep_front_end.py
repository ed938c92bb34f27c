"""The deep front end: what it computes, that its weights are the package's, and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.nn import functional

from cryptml.errors import NetworkError
from cryptml.networks import FloatArray
from cryptml.networks.front_ends import Deep, Standardisation, restore_front_end
from cryptml.networks.front_ends.deep import CELLS, KERNELS, WIDTHS, features, shipped_weights, weights_digest
from cryptml.training.teachers.scenes import draw_scenes

SIDES = st.integers(16, 40)


def by_torch(pictures: FloatArray, weights: Mapping[str, FloatArray]) -> FloatArray:
    """The same computation by another library."""
    maps, averages = torch.from_numpy(pictures), []
    for number, kernel in enumerate(KERNELS):
        if number:
            maps = functional.avg_pool2d(maps, 2)
        weight, bias = (torch.tensor(weights[f"{name}{number}"]) for name in ("weight", "bias"))
        maps = functional.conv2d(maps, weight, bias, padding=kernel // 2).relu()
        averages.append(functional.adaptive_avg_pool2d(maps, CELLS).flatten(1))
    return (torch.cat(averages, dim=1).numpy() - weights["mean"]) / weights["deviation"]


@settings(max_examples=15, deadline=None)
@given(side=SIDES, count=st.integers(1, 4), seed=st.integers(0, 1000))
def test_features_are_those_of_the_convolutions_on_every_side(side: int, count: int, seed: int) -> None:
    pictures = np.random.default_rng(seed).standard_normal((count, 1, side, side)).astype(np.float32)
    found = features(pictures, shipped_weights())
    assert found.shape == (count, sum(WIDTHS) * CELLS**2)
    np.testing.assert_allclose(found, by_torch(pictures, shipped_weights()), rtol=1e-3, atol=1e-3)


@settings(max_examples=10, deadline=None)
@given(data=st.data(), side=SIDES)
def test_any_region_has_finite_features_whatever_is_computed_beside_it(data: st.DataObject, side: int) -> None:
    regions = data.draw(arrays(np.float32, (3, side, side), elements=st.floats(0, 1, width=32)))
    front_end = Deep(side)
    together = front_end.apply(regions)
    assert together.dtype == np.float32
    assert together.shape == (3, *front_end.shape)
    assert np.isfinite(together).all()
    alone = np.concatenate([front_end.apply(region[None]) for region in regions])
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-3)


def test_many_regions_are_taken_in_parts() -> None:
    regions = np.random.default_rng(0).random((70, 16, 16)).astype(np.float32)
    assert Deep(16).apply(regions).shape == (70, 448)
    assert Deep(16).apply(regions[:0]).shape == (0, 448)


def test_brightness_and_contrast_of_a_film_hardly_matter() -> None:
    regions = draw_scenes(8, 32, np.random.default_rng(1)).pictures
    plain, darker, negative = (Deep(32).apply(each) for each in (regions, 0.1 + 0.7 * regions, 1 - regions))
    assert np.abs(plain - darker).mean() < 0.2 * np.abs(plain - negative).mean()


def test_documents_name_the_weights_and_others_are_refused() -> None:
    document = Deep(32).to_json()
    assert document == {"kind": "deep", "side": 32, "weights": weights_digest()}
    assert restore_front_end(document) == Deep(32)
    with pytest.raises(NetworkError, match="has the weights 000000000000"):
        restore_front_end({**document, "weights": "0" * 64})


def test_the_weights_are_a_small_part_of_the_package() -> None:
    weights = shipped_weights()
    assert {value.dtype for value in weights.values()} == {np.dtype(np.float32)}
    assert sum(value.nbytes for value in weights.values()) < 120_000
    assert all(np.isfinite(value).all() for value in weights.values())
    assert (weights["deviation"] > 0).all()


@pytest.mark.parametrize("side", [15, 257, 0, -3])
def test_sides_out_of_bounds_are_refused(side: int) -> None:
    with pytest.raises(NetworkError, match=r"side lies in \[16, 256\]"):
        Deep(side)


def test_regions_of_another_side_are_refused() -> None:
    with pytest.raises(NetworkError, match="do not fit"):
        Deep(32).apply(np.zeros((1, 28, 28), np.float32))


def test_it_says_what_it_does() -> None:
    assert "synthetic scenes alone" in Deep(32).description
    assert Deep(32).description.startswith(Standardisation(32).description)


def turned(regions: FloatArray) -> list[FloatArray]:
    """Return all turns and mirror images of regions."""
    quarters = [np.rot90(regions, times, axes=(1, 2)) for times in range(4)]
    return [np.ascontiguousarray(each) for quarter in quarters for each in (quarter, quarter[:, :, ::-1])]


@settings(max_examples=8, deadline=None)
@given(side=SIDES, seed=st.integers(0, 1000))
def test_averages_over_a_square_are_those_of_all_its_images(side: int, seed: int) -> None:
    regions = np.random.default_rng(seed).random((3, side, side), np.float32)
    found = Deep(side, "square").apply(regions)
    plain = np.mean([Deep(side).apply(each) for each in turned(regions)], axis=0)
    np.testing.assert_allclose(found, plain, atol=1e-5)
    for each in turned(regions):
        np.testing.assert_allclose(Deep(side, "square").apply(each), found, atol=1e-5)


def test_averages_with_the_mirror_image_know_what_is_up() -> None:
    regions = np.random.default_rng(0).random((70, 16, 16), np.float32)
    front_end = Deep(16, "mirror")
    found = front_end.apply(regions)
    np.testing.assert_allclose(front_end.apply(np.ascontiguousarray(regions[:, :, ::-1])), found, atol=1e-5)
    upside_down = front_end.apply(np.ascontiguousarray(regions[:, ::-1]))
    assert np.abs(upside_down - found).max() > 0.1
    assert front_end.apply(regions[:0]).shape == (0, 448)


@pytest.mark.parametrize("symmetries", ["none", "square"])
def test_one_cell_is_the_mean_of_all(symmetries: str) -> None:
    regions = np.random.default_rng(0).random((5, 20, 20), np.float32)
    found = Deep(20, symmetries, 1).apply(regions)
    assert found.shape == (5, 112)
    whole = Deep(20, symmetries).apply(regions).reshape(5, 112, CELLS**2).mean(axis=2)
    np.testing.assert_allclose(found, whole, atol=1e-5)
    with pytest.raises(NetworkError, match="cannot have 3 cells"):
        Deep(20, symmetries, 3)


@pytest.mark.parametrize("cells", [1, 2])
@pytest.mark.parametrize("symmetries", ["none", "mirror", "square"])
def test_symmetries_are_written_and_read(symmetries: str, cells: int) -> None:
    front_end = Deep(20, symmetries, cells)
    document = front_end.to_json()
    assert ("symmetries" in document) == (symmetries != "none")
    assert ("cells" in document) == (cells == 1)
    assert restore_front_end(document) == front_end
    assert ("mirror image" in front_end.description) == (symmetries != "none")


def test_unknown_symmetries_are_refused() -> None:
    with pytest.raises(NetworkError, match="cannot average over symmetries 'circle'; choose none, mirror, square"):
        Deep(20, "circle")
