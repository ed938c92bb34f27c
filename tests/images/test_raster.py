"""PNG, JPEG, TIFF, BMP and PGM files: what is read, and what is refused."""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from cryptml import images
from cryptml.errors import ImageError
from cryptml.images import FrameChoice, load_image


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


RAMP = np.add.outer(np.arange(16), np.arange(12)).astype(np.uint8) * 9


class TestTiff:
    @pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_eight_and_sixteen_bits(self, tmp_path: Path, compression: str | None, dtype: type) -> None:
        values = RAMP.astype(dtype) * (1 if dtype == np.uint8 else 257)
        PIL.Image.fromarray(values).save(tmp_path / "a.tif", compression=compression)
        image = load_image(tmp_path / "a.tif")
        np.testing.assert_allclose(image.pixels, RAMP / 255, atol=1e-7)
        assert image.source == f"TIFF, {8 * values.itemsize} bits"

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_white_is_zero(self, tmp_path: Path, dtype: type) -> None:
        values = RAMP.astype(dtype) * (1 if dtype == np.uint8 else 257)
        PIL.Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={262: 0})
        assert tags_of(tmp_path / "a.tif")[262] == 0
        stored = stored_cells(tmp_path / "a.tif", values.dtype, values.shape)
        np.testing.assert_allclose(load_image(tmp_path / "a.tif").pixels, 1 - stored / np.iinfo(dtype).max, atol=1e-6)

    @pytest.mark.parametrize("mode", ["F", "I;16S", "CMYK"])
    def test_other_kinds_of_values_are_refused(self, tmp_path: Path, mode: str) -> None:
        if mode == "I;16S":
            write_tiff(tmp_path / "a.tif", RAMP.astype(np.int16), 16, sample_format=2)
        else:
            PIL.Image.new(mode, (8, 8)).save(tmp_path / "a.tif")
        with pytest.raises(ImageError, match="SampleFormat|BitsPerSample|kind that is not read|samples a pixel"):
            load_image(tmp_path / "a.tif")

    @pytest.mark.parametrize("bits", [12, 32])
    def test_other_depths_are_refused(self, tmp_path: Path, bits: int) -> None:
        write_tiff(tmp_path / "a.tif", np.zeros((8, 8), np.uint32), bits)
        with pytest.raises(ImageError, match=r"BitsPerSample \(258\)"):
            load_image(tmp_path / "a.tif")

    @pytest.mark.parametrize("compression", [None, "tiff_lzw"])
    def test_channels_that_are_nearly_equal_are_colour(self, tmp_path: Path, compression: str | None) -> None:
        PIL.Image.fromarray(np.stack([RAMP, RAMP, RAMP + 1], axis=-1)).save(tmp_path / "a.tif", compression=compression)
        with pytest.raises(ImageError, match="colour: the channels of a pixel differ by 1 of 255"):
            load_image(tmp_path / "a.tif")

    @pytest.mark.parametrize("compression", ["jpeg", "group4"])
    def test_compressions_that_hide_damage_are_refused(self, tmp_path: Path, compression: str) -> None:
        picture = PIL.Image.fromarray(RAMP)
        (picture.convert("1") if compression == "group4" else picture).save(tmp_path / "a.tif", compression=compression)
        with pytest.raises(ImageError, match=f"TIFF compressed by {compression} is not read"):
            load_image(tmp_path / "a.tif")

    @pytest.mark.parametrize("compression", ["tiff_adobe_deflate", "tiff_lzw", "packbits"])
    def test_damaged_strips(self, tmp_path: Path, compression: str) -> None:
        values = np.random.default_rng(0).integers(0, 256, (200, 300), np.uint8)
        PIL.Image.fromarray(values).save(tmp_path / "a.tif", compression=compression)
        content = bytearray((tmp_path / "a.tif").read_bytes())
        tags = tags_of(tmp_path / "a.tif")
        first, length = tags[273][-1], tags[279][-1]
        content[first + length // 2 : first + length - 2] = bytes(length - 2 - length // 2)
        (tmp_path / "a.tif").write_bytes(content)
        with pytest.raises(ImageError, match="damaged"):
            load_image(tmp_path / "a.tif")

    def test_without_saying_what_0_is(self, tmp_path: Path) -> None:
        write_tiff(tmp_path / "a.tif", RAMP, 8)
        content = (tmp_path / "a.tif").read_bytes()
        there = struct.pack("<HHII", 262, 4, 1, 1)
        assert there in content
        (tmp_path / "a.tif").write_bytes(content.replace(there, struct.pack("<HHII", 65000, 4, 1, 1)))
        with pytest.raises(ImageError, match=r"PhotometricInterpretation \(262\) is missing"):
            load_image(tmp_path / "a.tif")

    def test_pages_are_frames(self, tmp_path: Path) -> None:
        pages = [PIL.Image.fromarray(each) for each in (RAMP, RAMP[::-1].copy(), RAMP // 2)]
        pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
        with pytest.raises(ImageError, match="3 frames"):
            load_image(tmp_path / "a.tif")
        chosen = load_image(tmp_path / "a.tif", FrameChoice.parse("2")).pixels
        np.testing.assert_allclose(chosen, RAMP[::-1] / 255, atol=1e-7)
        brightest = load_image(tmp_path / "a.tif", FrameChoice.parse("max")).pixels
        np.testing.assert_allclose(brightest, np.maximum(RAMP, RAMP[::-1]) / 255, atol=1e-7)


def tags_of(path: Path) -> Any:
    """A TIFF's tags, by number."""
    picture = PIL.Image.open(path)
    assert isinstance(picture, PIL.TiffImagePlugin.TiffImageFile)
    return picture.tag_v2


def stored_cells(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """The cells of a TIFF of one uncompressed strip, as they lie in the file."""
    [offset] = tags_of(path)[273]
    return np.frombuffer(path.read_bytes(), dtype.newbyteorder("<"), math.prod(shape), offset).reshape(shape)


def write_tiff(path: Path, values: np.ndarray, bits: int, sample_format: int = 1) -> None:
    """A grey little-endian TIFF of one strip with any number of bits in its header (TIFF 6.0, section 2)."""
    data = values.tobytes()
    tags = [(256, values.shape[1]), (257, values.shape[0]), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1)]
    tags += [(278, values.shape[0]), (279, len(data)), (339, sample_format)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    path.write_bytes(head + data + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0))


def write_png(path: Path, side: int, bits: int, colour: int, rows: bytes) -> None:
    """A square PNG of any depth and colour type; rows begin with their filter (ISO 15948, 11)."""
    head = struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    content = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


class TestOrientation:
    @pytest.mark.parametrize(
        ("orientation", "turned"),
        [
            (1, lambda x: x),
            (2, np.fliplr),
            (3, lambda x: np.rot90(x, 2)),
            (4, np.flipud),
            (5, lambda x: x.T),
            (7, lambda x: np.rot90(x, 2).T),
            (6, lambda x: np.rot90(x, -1)),
            (8, np.rot90),
        ],
    )
    @pytest.mark.parametrize("suffix", ["jpg", "tif", "lzw.tif", "png"])
    def test_pictures_stand_as_they_say(self, tmp_path: Path, suffix: str, orientation: int, turned: Any) -> None:
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        picture = PIL.Image.fromarray(RAMP)
        options: Any = {"jpg": {"quality": 100}, "lzw.tif": {"compression": "tiff_lzw"}}.get(suffix, {})
        picture.save(tmp_path / f"a.{suffix}", exif=exif, **options)
        found = load_image(tmp_path / f"a.{suffix}").pixels
        np.testing.assert_allclose(found, turned(RAMP) / 255, atol=2 / 255)


class TestDepths:
    @pytest.mark.parametrize("bits", [1, 2, 4])
    def test_png_of_few_bits(self, tmp_path: Path, bits: int) -> None:
        values = (np.arange(64) % 2**bits).astype(np.uint8).reshape(8, 8)
        packed = np.packbits(np.unpackbits(values[..., None], axis=2)[..., 8 - bits :].reshape(8, -1), axis=1)
        rows = b"".join(b"\0" + row.tobytes() for row in packed)
        write_png(tmp_path / "a.png", 8, bits, 0, rows)
        np.testing.assert_allclose(load_image(tmp_path / "a.png").pixels, values / (2**bits - 1), atol=1e-7)

    @pytest.mark.parametrize("colour", [2, 4, 6])
    def test_png_of_sixteen_bits_and_more_than_grey_is_refused(self, tmp_path: Path, colour: int) -> None:
        row = b"\0" + b"\x12\x34" * {2: 3, 4: 2, 6: 4}[colour]
        write_png(tmp_path / "a.png", 1, 16, colour, row)
        with pytest.raises(ImageError, match="PNG of 16 bits"):
            load_image(tmp_path / "a.png")

    def test_jpeg(self, tmp_path: Path) -> None:
        for options in ({}, {"progressive": True}, {"quality": 100, "subsampling": 0}):
            PIL.Image.fromarray(RAMP).save(tmp_path / "a.jpg", **options)
            image = load_image(tmp_path / "a.jpg")
            np.testing.assert_allclose(image.pixels, RAMP / 255, atol=12 / 255)
            assert image.source == "JPEG, 8 bits"

    @pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}], ids=str)
    @pytest.mark.parametrize("mode", ["L", "RGB"])
    def test_a_jpeg_whose_data_end_early(self, tmp_path: Path, mode: str, options: dict[str, Any]) -> None:
        values = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
        PIL.Image.fromarray(values).convert(mode).save(tmp_path / "a.jpg", quality=90, **options)
        load_image(tmp_path / "a.jpg")
        whole = (tmp_path / "a.jpg").read_bytes()
        (tmp_path / "a.jpg").write_bytes(whole[: len(whole) * 3 // 5] + b"\xff\xd9")
        with pytest.raises(ImageError, match="damaged"):
            load_image(tmp_path / "a.jpg")

    def test_jpeg_of_four_inks_is_refused(self, tmp_path: Path) -> None:
        PIL.Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg")
        with pytest.raises(ImageError, match="mode CMYK"):
            load_image(tmp_path / "a.jpg")

    @pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
    def test_bmp(self, tmp_path: Path, mode: str) -> None:
        values = (RAMP > 90).astype(np.uint8) * 255
        PIL.Image.fromarray(values).convert(mode).save(tmp_path / "a.bmp")
        np.testing.assert_allclose(load_image(tmp_path / "a.bmp").pixels, values / 255, atol=1e-7)

    @pytest.mark.parametrize("suffix", ["jpg", "tif", "png"])
    def test_pixels_that_are_not_square_are_refused(self, tmp_path: Path, suffix: str) -> None:
        PIL.Image.fromarray(RAMP).save(tmp_path / f"a.{suffix}", dpi=(200, 200))
        load_image(tmp_path / f"a.{suffix}")
        PIL.Image.fromarray(RAMP).save(tmp_path / f"a.{suffix}", dpi=(100, 200))
        with pytest.raises(ImageError, match="100 across and 200 down"):
            load_image(tmp_path / f"a.{suffix}")

    def test_pgm_of_two_pictures(self, tmp_path: Path) -> None:
        one = b"P5\n# made by hand\n12 16\n255\n" + RAMP.tobytes()
        (tmp_path / "a.pgm").write_bytes(one + b"\n")
        np.testing.assert_allclose(load_image(tmp_path / "a.pgm").pixels, RAMP / 255, atol=1e-7)
        (tmp_path / "a.pgm").write_bytes(one + one)
        with pytest.raises(ImageError, match="goes on after its first picture"):
            load_image(tmp_path / "a.pgm")

    def test_jpeg_with_filling_bytes(self, tmp_path: Path) -> None:
        PIL.Image.fromarray(RAMP).save(tmp_path / "a.jpg")
        content = (tmp_path / "a.jpg").read_bytes()
        (tmp_path / "a.jpg").write_bytes(content[:-2] + bytes(4) + content[-2:])
        load_image(tmp_path / "a.jpg")

    def test_big_tiff(self, tmp_path: Path) -> None:
        PIL.Image.fromarray(RAMP).save(tmp_path / "a.tif", big_tiff=True)
        np.testing.assert_allclose(load_image(tmp_path / "a.tif").pixels, RAMP / 255, atol=1e-7)
