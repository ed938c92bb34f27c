"""PNG, JPEG, TIFF, BMP and PGM files: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from cryptml import images
from cryptml.errors import ImageError
from cryptml.images import load_image


@pytest.mark.parametrize(("suffix", "name"), [("png", "PNG"), ("pgm", "PGM")])
def test_eight_bits(tmp_path: Path, suffix: str, name: str) -> None:
    values = np.arange(200, dtype=np.uint8).reshape(10, 20)
    PIL.Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    image = load_image(tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(image.pixels, values / 255, atol=1e-7)
    assert image.source == f"{name}, 8 bits"


def test_sixteen_bits_png(tmp_path: Path) -> None:
    values = np.arange(200, dtype=np.uint16).reshape(10, 20) * 300
    PIL.Image.fromarray(values).save(tmp_path / "a.png")
    image = load_image(str(tmp_path / "a.png"))
    np.testing.assert_allclose(image.pixels, values / 65535, atol=1e-7)
    assert image.source == "PNG, 16 bits"


@pytest.mark.parametrize("white", [65535, 4095])
def test_sixteen_bits_pgm(tmp_path: Path, white: int) -> None:
    values = np.arange(200, dtype=np.uint16).reshape(10, 20) * 20
    (tmp_path / "a.pgm").write_bytes(b"P5\n20 10\n%d\n" % white + values.astype(">u2").tobytes())
    image = load_image(tmp_path / "a.pgm")
    np.testing.assert_allclose(image.pixels, values / white, atol=1e-5)
    assert image.source == "PGM, 16 bits"


def test_text_pgm_and_a_lying_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_text("P2\n2 1\n# a comment\n9\n0 9\n")
    np.testing.assert_allclose(load_image(tmp_path / "a.dcm").pixels, [[0, 1]])


def test_one_bit(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    image = load_image(tmp_path / "a.png")
    np.testing.assert_array_equal(image.pixels, [[1, 0]])
    assert image.source == "PNG, 1 bit"


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_channels_that_are_equal_are_grey(tmp_path: Path, suffix: str) -> None:
    grey = np.add.outer(np.arange(40), np.arange(48)).astype(np.uint8) * 2
    PIL.Image.fromarray(grey).convert("RGB").save(tmp_path / f"a.{suffix}", quality=95)
    image = load_image(tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(image.pixels, grey / 255, atol=3 / 255 if suffix == "jpg" else 1e-7)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_colour(tmp_path: Path, suffix: str) -> None:
    values = np.zeros((40, 48, 3), np.uint8)
    values[3:11, 3:11, 0] = 90
    PIL.Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    with pytest.raises(ImageError, match=r"colour: the channels of a pixel differ by \d+ of 255"):
        load_image(tmp_path / f"a.{suffix}")


def test_a_palette_of_greys(tmp_path: Path) -> None:
    picture = PIL.Image.new("P", (8, 8))
    picture.putpalette([5, 5, 5, 200, 200, 200])
    picture.putpixel((2, 1), 1)
    picture.save(tmp_path / "a.png")
    found = load_image(tmp_path / "a.png").pixels
    assert (found[0, 0], found[1, 2]) == (np.float32(5 / 255), np.float32(200 / 255))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency(tmp_path: Path, mode: str) -> None:
    PIL.Image.new(mode, (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="has transparency"):
        load_image(tmp_path / "a.png")
    opaque = PIL.Image.new("RGBA", (8, 8), (9, 9, 9, 255))
    opaque.save(tmp_path / "a.png")
    np.testing.assert_allclose(load_image(tmp_path / "a.png").pixels, 9 / 255)


def test_transparency_of_one_grey(tmp_path: Path) -> None:
    PIL.Image.new("L", (8, 8)).save(tmp_path / "a.png", transparency=0)
    with pytest.raises(ImageError, match="has transparency"):
        load_image(tmp_path / "a.png")


def test_animation(tmp_path: Path) -> None:
    frames = [PIL.Image.new("L", (8, 8), grey) for grey in (0, 99)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="holds 2 frames"):
        load_image(tmp_path / "a.png")


@pytest.mark.parametrize("width", [9000, 50000])
def test_bombs(tmp_path: Path, width: int) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5\n%d %d\n255\n\0" % (width, width))
    with pytest.raises(ImageError, match=str(images.MAX_PIXELS)):
        load_image(tmp_path / "a.pgm")


@pytest.mark.parametrize("suffix", ["png", "pgm"])
def test_truncated(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(path)
    whole = path.read_bytes()
    for share in (0.01, 0.3, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ImageError, match="damaged or truncated"):
            load_image(path)
