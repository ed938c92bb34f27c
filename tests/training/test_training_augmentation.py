"""Augmentation moves pixels and invents none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryptml.datasets.base import AUGMENTATIONS, Dataset
from cryptml.errors import SettingError
from cryptml.networks import Standardisation
from cryptml.training import Examples, TrainingSettings
from cryptml.training.augmentation import augment, shift


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_small_regions_take_all_eight_symmetries_and_nothing_else() -> None:
    region = torch.arange(64.0).reshape(1, 1, 8, 8)
    symmetries = {
        tuple(torch.rot90(mirrored, turn, (-2, -1)).flatten().tolist())
        for mirrored in (region, region.flip(-1))
        for turn in range(4)
    }
    varied = augment(region.repeat(200, 1, 1, 1), generator())
    assert {tuple(item.flatten().tolist()) for item in varied} == symmetries


def test_upright_regions_are_mirrored_and_not_turned() -> None:
    region = torch.arange(64.0).reshape(1, 1, 8, 8)
    varied = augment(region.repeat(50, 1, 1, 1), generator(), "mirror")
    expected = {tuple(each.flatten().tolist()) for each in (region, region.flip(-1))}
    assert {tuple(item.flatten().tolist()) for item in varied} == expected


def test_same_seed_same_variants_and_the_argument_stays() -> None:
    regions = torch.rand(6, 2, 20, 20, generator=generator())
    before = regions.clone()
    first, second = augment(regions, generator(1)), augment(regions, generator(1))
    assert torch.equal(first, second)
    assert torch.equal(regions, before)
    assert first.shape == regions.shape
    assert not torch.equal(first, augment(regions, generator(2)))


def test_shift_moves_each_region_within_reach_and_reflects_at_the_edge() -> None:
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(20.0), indexing="ij")
    regions = torch.stack([rows, columns]).repeat(100, 1, 1, 1)
    moved = shift(regions, 2, generator())
    seen = {(int(item[0, 10, 10]) - 10, int(item[1, 10, 10]) - 10) for item in moved}
    assert seen == {(row, column) for row in range(-2, 3) for column in range(-2, 3)}
    for item in moved:
        by = int(item[0, 10, 10]) - 10
        assert item[0, :, 0].tolist() == [abs(i + by) if i + by <= 19 else 38 - i - by for i in range(20)]


def test_shifted_regions_are_neither_turned_nor_mirrored() -> None:
    rows = torch.arange(20.0)[:, None] + 100 * torch.arange(20.0)[None, :]
    varied = augment(rows.repeat(50, 1, 1, 1), generator(), "shift")
    inner = varied[:, 0, 5:15, 5:15]
    assert (inner.diff(dim=1) > 0).all()
    assert (inner.diff(dim=2) > 0).all()
    assert len(torch.unique(varied.flatten(1), dim=0)) > 5


def test_none_leaves_regions_as_they_are() -> None:
    region = torch.arange(64.0).reshape(1, 1, 8, 8)
    assert torch.equal(augment(region, generator(), "none"), region)


def test_what_is_possible_is_what_data_sets_and_settings_name() -> None:
    for kind in AUGMENTATIONS:
        assert augment(torch.zeros(2, 1, 8, 8), generator(), kind).shape == (2, 1, 8, 8)
        TrainingSettings(augmentation=kind)
    with pytest.raises(
        SettingError, match="augmentation is 'turn' where symmetries or mirror or shift or none is needed"
    ):
        TrainingSettings(augmentation="turn")


def test_the_data_sets_own_augmentation_is_taken_where_nobody_says() -> None:
    images = np.tile(np.linspace(0, 1, 16, dtype=np.float32), (4, 16, 1))
    data = Dataset(
        "ramps", images, np.array([0, 1, 0, 1]), tuple("abcd"), ("x", "y"), ("train",) * 4, augmentation="none"
    )
    front_end = Standardisation(16)
    own = Examples.of(data, front_end, views=4)
    assert torch.equal(own.inputs[:, 1], own.inputs[:, 0])
    asked = Examples.of(data, front_end, views=4, augmentation="symmetries")
    assert not torch.equal(asked.inputs[:, 1], asked.inputs[:, 0])
