"""Finding the breast on a film, and covering it with squares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cryptml.errors import ImageError
from cryptml.images import Image, Region, breast_mask, image_from_array, tile_all, tile_breast


def film(
    rows: int, columns: int, radius: float, tissue: float = 0.5, seed: int = 0, fog: float = 0.0
) -> tuple[Image, np.ndarray]:
    """Return a half disc of tissue at the left edge, a bright label at the right, dark noise; and the half disc."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns]
    breast = np.hypot(y - rows / 2, x) < radius
    pixels = random.random((rows, columns)) * 0.03
    pixels[breast] = tissue * (0.8 + 0.4 * random.random(int(breast.sum())))
    pixels[rows // 20 : rows // 20 + max(6, rows // 20), -columns // 6 : -columns // 20] = 0.95
    return image_from_array(np.clip(fog + (1 - fog) * pixels, 0, 1)), breast


@settings(max_examples=25, deadline=None)
@given(st.integers(120, 900), st.integers(100, 700), st.floats(0.2, 0.9), st.integers(0, 2**32), st.floats(0, 0.4))
def test_the_half_disc_is_found_and_the_label_is_not(
    rows: int, columns: int, tissue: float, seed: int, fog: float
) -> None:
    image, breast = film(rows, columns, 0.45 * min(rows, columns), tissue, seed, fog)
    found = breast_mask(image)
    assert found.shape == (rows, columns)
    assert found.dtype == bool
    assert (found & breast).sum() / (found | breast).sum() > 0.9
    assert not found[: rows // 10, -columns // 6 :].any()


@pytest.mark.parametrize("range_used", [1 / 256, 0.1, 1.0])
def test_the_range_of_greys_does_not_count(range_used: float) -> None:
    image, breast = film(300, 200, 90)
    found = breast_mask(image_from_array(image.pixels.astype(np.float64) * range_used))
    assert (found & breast).sum() / (found | breast).sum() > 0.95


@pytest.mark.parametrize("turned", [False, True])
def test_a_film_with_dark_and_light_swapped_is_refused(turned: bool) -> None:
    pixels = 1 - film(300, 200, 90)[0].pixels
    with pytest.raises(
        ImageError, match=r"reaches round \d+% of its border, more than 80%; give a mammogram on a dark"
    ):
        breast_mask(image_from_array(pixels[::-1, ::-1] if turned else pixels))


def test_a_scratch_does_not_tie_the_label_to_the_breast() -> None:
    image, _ = film(300, 200, 90)
    pixels = image.pixels.copy()
    pixels[15:150, 176:180] = 0.5  # four pixels wide, from the label down to the breast's height
    pixels[146:150, 60:180] = 0.5
    found = breast_mask(image_from_array(pixels))
    assert found[150, 40]
    assert not found[:30, 168:].any()


def test_holes_are_breast_too() -> None:
    image, breast = film(300, 200, 90)
    pixels = image.pixels.copy()
    pixels[140:160, 30:50] = 0
    assert breast_mask(image_from_array(pixels))[150, 40]
    assert breast[150, 40]


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_a_picture_of_one_grey_shows_no_breast(grey: float) -> None:
    with pytest.raises(ImageError, match="no breast is found on a picture of 80 columns x 100 rows"):
        breast_mask(image_from_array(np.full((100, 80), grey)))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(60, 400), st.integers(60, 400), st.integers(8, 60), st.integers(1, 60), st.sampled_from([0.3, 0.5, 1.0])
)
def test_squares_lie_inside_show_enough_and_cover_the_middle(
    rows: int, columns: int, size: int, step: int, share: float
) -> None:
    assume(step <= size <= min(rows, columns))
    image, _ = film(rows, columns, 0.45 * min(rows, columns))
    mask = breast_mask(image)
    try:
        regions = tile_breast(image, size, step, share)
    except ImageError as error:
        assert "no square of" in str(error) or "more than 10000" in str(error)
        return
    covered = np.zeros_like(mask)
    for region in regions:
        part = np.s_[region.y : region.y + size, region.x : region.x + size]
        assert mask[part].shape == (size, size)
        assert mask[part].mean() >= share
        covered[part] = True
    assert len(set(map(str, regions))) == len(regions)
    assert list(regions) == sorted(regions, key=lambda region: (region.y, region.x))
    for y in [*range(0, rows - size + 1, step), rows - size]:  # every square of the grid that is all breast is there
        for x in [*range(0, columns - size + 1, step), columns - size]:
            if mask[y : y + size, x : x + size].all():
                assert covered[y : y + size, x : x + size].all()


@pytest.mark.parametrize(
    ("size", "step", "share"), [(0, 1, 0.5), (81, 1, 0.5), (16, 0, 0.5), (16, 17, 0.5), (16, 8, 0.0), (16, 8, 1.1)]
)
def test_squares_that_do_not_fit_are_refused(size: int, step: int, share: float) -> None:
    image, _ = film(100, 80, 40)
    with pytest.raises(ImageError, match=r"do not fit a picture of 80 columns x 100 rows; the size lies in \[1, 80\]"):
        tile_breast(image, size, step, share)


def test_the_far_edge_is_reached() -> None:
    image, _ = film(100, 80, 40)
    mirrored = image_from_array(image.pixels[:, ::-1].astype(np.float64))  # the breast lies at the right edge
    regions = tile_breast(mirrored, 24, 24)
    assert max(region.x + region.size for region in regions) == 80


def test_too_many_squares_are_refused() -> None:
    image, _ = film(400, 300, 140)
    with pytest.raises(
        ImageError, match=r"squares of 20 pixels every 1 pixels are \d+, more than 10000; choose a larger"
    ):
        tile_breast(image, 20, 1)


def test_a_picture_that_is_no_mammogram_has_all_of_its_squares() -> None:
    image = image_from_array(np.random.default_rng(0).random((40, 70), dtype=np.float32))
    regions = tile_all(image, 20, 10)
    assert len(regions) == len(set(regions)) == 3 * 6
    assert {(each.x, each.y) for each in regions} == {(x, y) for y in (0, 10, 20) for x in (0, 10, 20, 30, 40, 50)}
    assert tile_all(image, 40, 40)[-1] == Region(30, 0, 40), "the last ends at the picture's edge"
    for size, step in ((41, 1), (0, 1), (20, 0), (20, 21)):
        with pytest.raises(ImageError, match="do not fit a picture of 70 columns x 40 rows"):
            tile_all(image, size, step)
