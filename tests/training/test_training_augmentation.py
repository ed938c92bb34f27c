"""Augmentation moves pixels and invents none."""

from __future__ import annotations

import torch

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
