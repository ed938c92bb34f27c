"""Square regions: what a crop keeps, and how one is found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptml.errors import ImageError
from cryptml.images import Region, brightest_region, central_region, crop, image_from_array, reduce_area


class TestRegion:
    @given(st.integers(0, 999_999), st.integers(0, 999_999), st.integers(1, 999_999))
    def test_text_round_trip(self, x: int, y: int, size: int) -> None:
        assert Region.parse(str(Region(x, y, size))) == Region(x, y, size)

    @given(st.text(max_size=20))
    def test_any_text_is_answered(self, text: str) -> None:
        try:
            Region.parse(text)
        except ImageError as error:
            assert "region" in str(error)

    @pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "-1,2,3", "1.5,2,3", "a,b,c", "1,2,0", "9" * 30 + ",1,1"])
    def test_bad_text(self, text: str) -> None:
        with pytest.raises(ImageError):
            Region.parse(text)

    @pytest.mark.parametrize("values", [(-1, 0, 1), (0, -1, 1), (0, 0, 0), (0.5, 0, 1), (True, 0, 1)])
    def test_bad_values(self, values: tuple[int, int, int]) -> None:
        with pytest.raises(ImageError, match="whole number"):
            Region(*values)


SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40)).map(lambda pair: (max(pair), min(pair)))


class TestCrop:
    @given(SIZES, st.floats(0, 1, width=32))
    def test_a_constant_stays_constant(self, sizes: tuple[int, int], grey: float) -> None:
        size, side = sizes
        image = image_from_array(np.full((50, 45), grey, np.float32))
        result = crop(image, Region(3, 5, size), side)
        assert result.shape == (side, side)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, grey, atol=1e-6)

    @given(SIZES, st.integers(0, 2**32 - 1))
    def test_the_mean_is_kept(self, sizes: tuple[int, int], seed: int) -> None:
        size, side = sizes
        image = image_from_array(np.random.default_rng(seed).random((50, 45)))
        result = crop(image, Region(5, 10, size), side)
        region = image.pixels[10 : 10 + size, 5 : 5 + size]
        assert result.mean(dtype=np.float64) == pytest.approx(region.mean(dtype=np.float64), abs=1e-6)
        assert region.min() - 1e-6 <= result.min() <= result.max() <= region.max() + 1e-6

    def test_x_is_the_column_and_blocks_are_averaged(self) -> None:
        image = image_from_array(np.arange(24).reshape(4, 6) / 24)
        np.testing.assert_allclose(crop(image, Region(3, 1, 2), 2), np.array([[9, 10], [15, 16]]) / 24, atol=1e-6)
        np.testing.assert_allclose(
            crop(image, Region(2, 0, 4), 2), np.array([[5.5, 7.5], [17.5, 19.5]]) / 24, atol=1e-6
        )

    @pytest.mark.parametrize("region", [Region(5, 0, 2), Region(0, 3, 2), Region(0, 0, 7), Region(900, 900, 1)])
    def test_outside(self, region: Region) -> None:
        with pytest.raises(ImageError, match="6 columns x 4 rows"):
            crop(image_from_array(np.zeros((4, 6))), region, 1)

    @pytest.mark.parametrize("side", [0, -1, 5])
    def test_nothing_is_enlarged(self, side: int) -> None:
        with pytest.raises(ImageError, match="cannot be reduced"):
            crop(image_from_array(np.zeros((4, 6))), Region(0, 0, 4), side)

    def test_only_squares_are_reduced(self) -> None:
        with pytest.raises(ImageError, match="not square"):
            reduce_area(np.zeros((4, 6)), 2)


class TestFinding:
    def test_central(self) -> None:
        assert central_region(image_from_array(np.zeros((4, 9)))) == Region(2, 0, 4)
        assert central_region(image_from_array(np.zeros((9, 4)))) == Region(0, 2, 4)

    @given(st.integers(0, 2**32 - 1), st.integers(1, 7))
    def test_brightest_is_the_best_of_all_where_every_pixel_is_tried(self, seed: int, size: int) -> None:
        image = image_from_array(np.random.default_rng(seed).random((11, 9)))
        found = brightest_region(image, size)
        best = np.lib.stride_tricks.sliding_window_view(image.pixels, (size, size)).mean((2, 3), dtype=np.float64)
        assert crop(image, found, size).mean(dtype=np.float64) == pytest.approx(best.max(), abs=1e-6)

    def test_the_far_corner_is_tried(self) -> None:
        array = np.zeros((101, 207))
        array[-32:, -32:] = 1
        assert brightest_region(image_from_array(array), 32) == Region(175, 69, 32)

    def test_the_whole_picture(self) -> None:
        assert brightest_region(image_from_array(np.ones((5, 5))), 5) == Region(0, 0, 5)

    @pytest.mark.parametrize("size", [0, 5])
    def test_no_such_square(self, size: int) -> None:
        with pytest.raises(ImageError, match="does not fit"):
            brightest_region(image_from_array(np.zeros((4, 9))), size)
