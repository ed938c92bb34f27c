"""The picture over the mammogram says what the squares say, and hides nothing else."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from cryptml.images import Image, Region, image_from_array
from cryptml.reports.heat_map import BAR, NARROWEST, OUTLINE, Tile, mean_probability, render_heat_map

OUTLINE_COLOUR = list(OUTLINE)
GREY = image_from_array(np.full((300, 600), 0.5))


def pixels_of(image: Image, tiles: list[Tile]) -> np.ndarray:
    picture = Picture.open(io.BytesIO(render_heat_map(image, tiles, "abnormal")))
    assert picture.mode == "RGB"
    return np.asarray(picture)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 10), st.floats(0, 1)), min_size=1))
def test_every_pixel_is_the_mean_of_its_squares(squares: list[tuple[int, int, int, float]]) -> None:
    tiles = [Tile(Region(x, y, size), probability) for x, y, size, probability in squares]
    found = mean_probability(tiles, 32, 32)
    for y in range(0, 32, 3):
        for x in range(0, 32, 3):
            over = [p for left, top, size, p in squares if left <= x < left + size and top <= y < top + size]
            assert found[y, x] == pytest.approx(np.mean(over)) if over else np.isnan(found[y, x])


def test_what_was_not_asked_about_stays_grey() -> None:
    pixels = pixels_of(GREY, [Tile(Region(100, 100, 64), 1.0)])
    assert OUTLINE_COLOUR not in pixels[:90].reshape(-1, 3).tolist()
    assert pixels.shape == (300 + BAR, 600, 3)
    assert (pixels[:90] == 128).all()
    assert (pixels[100:160, 200:] == pixels[100:160, 200:, :1]).all()


def test_a_low_answer_does_not_look_like_none() -> None:
    pixels = pixels_of(GREY, [Tile(Region(100, 100, 64), 0.0), Tile(Region(300, 100, 64), 0.2)])
    row = pixels[132].tolist()
    assert row[100] == row[163] == OUTLINE_COLOUR
    assert row[130] == row[90] == [128, 128, 128]


def test_opacity_grows_with_the_square() -> None:
    pixels = pixels_of(GREY, [Tile(Region(50 + 150 * place, 100, 100), place / 2) for place in range(3)]).astype(int)
    low, high = (abs(pixels[150, 250 + 150 * place] - 128).max() for place in range(2))
    assert low < 0.4 * high


def test_squares_below_a_pixel_are_drawn() -> None:
    long = image_from_array(np.full((20, 9000), 0.5))
    assert pixels_of(long, [Tile(Region(4000, 4, 2), 0.9)]).shape[1] == 1400


def test_higher_is_redder_and_the_highest_is_framed() -> None:
    tiles = [Tile(Region(50 + 150 * place, 100, 100), place / 2) for place in range(3)]
    pixels = pixels_of(GREY, tiles).astype(int)
    redness = [pixels[150, 100 + 150 * place, 0] - pixels[150, 100 + 150 * place, 2] for place in range(3)]
    assert redness[0] == 0
    assert redness[0] < redness[1] < redness[2]
    assert (pixels[100, 350] == 255).all()
    assert not (pixels[100, 200] == 255).all()


def test_large_pictures_are_reduced_and_narrow_ones_leave_room_for_the_legend() -> None:
    tall = image_from_array(np.full((2800, 100), 0.5))
    pixels = pixels_of(tall, [Tile(Region(0, 0, 100), 0.7)])
    assert pixels.shape == (1400 + BAR, NARROWEST, 3)
    assert pixels[10, 10].tolist() != [128, 128, 128]
    assert (pixels[700:1390, :50] == 128).all()
