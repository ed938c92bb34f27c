"""Attributes that bear on pixels: applied after the standard, or the file is refused by their names."""

from __future__ import annotations

import re
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from benchmarks.decoders import DecoderWatch
from cryptml.errors import ImageError, NoPicture
from cryptml.images import FrameChoice, load_frames, load_image
from cryptml.images.decoding.pool import DECODERS
from cryptml.images.dicom.attributes.reference import markdown
from cryptml.images.dicom.attributes.table import TABLE, Treatment
from cryptml.images.dicom.names import name_of
from tests.images.dicom_files import RAMP, item, table, write_dicom
from tests.images.module_attributes import MODULES, NOT_ON_PIXELS

DOCUMENT = Path(__file__).parents[2] / "docs" / "dicom-attributes.md"
GREY = RAMP / 4095


def read(path: Path, frame: str | None = None) -> np.ndarray:
    return load_image(path, None if frame is None else FrameChoice.parse(frame)).pixels


def near(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-6)


def tagged(keyword: str, value: object) -> dict[str, Any]:
    return {keyword: value}


class TestTable:
    def test_the_document_is_what_the_code_does(self) -> None:
        assert DOCUMENT.read_text() == markdown(), (
            "run python -m cryptml.images.dicom.attributes.reference > docs/dicom-attributes.md"
        )

    def test_every_attribute_has_one_row(self) -> None:
        tags = [row.tag for row in TABLE]
        assert len(tags) == len(set(tags))

    @pytest.mark.parametrize("module", MODULES)
    def test_every_attribute_of_the_modules_has_its_row(self, module: str) -> None:
        rows = {row.keyword for row in TABLE}
        assert not rows & NOT_ON_PIXELS
        assert set(MODULES[module]) <= rows | NOT_ON_PIXELS

    @pytest.mark.parametrize(
        "row", [row for row in TABLE if row.treatment is Treatment.REFUSED], ids=lambda row: row.keyword
    )
    def test_what_is_refused_is_refused_by_its_name(self, tmp_path: Path, row: Any) -> None:
        kind = pydicom.datadict.dictionary_VR(row.tag).partition(" or ")[0]
        values = {
            "SQ": [Dataset()],
            "US": 1,
            "FL": 1.0,
            "FD": 1.0,
            "OF": b"\0" * 4,
            "OD": b"\0" * 8,
            "OB": b"\0\1",
            "OW": b"\0\1",
        }
        path = write_dicom(tmp_path / "a.dcm")
        file = pydicom.dcmread(path)
        value = values.get(kind, "1.5" if kind == "DS" else "1")
        if "functional group" in row.meaning:
            file.SharedFunctionalGroupsSequence = [item(**{row.keyword: [Dataset()]})]
        elif row.keyword.endswith("PixelData"):
            del file.PixelData
            file.add_new(row.tag, kind, value)
        else:
            file.add_new(row.tag, kind, value)
        save(file, path)
        words = "no integer pixel data" if row.keyword.endswith("PixelData") else re.escape(name_of(row.keyword))
        with pytest.raises(ImageError, match=words):
            load_image(path)

    @pytest.mark.parametrize("tag", [0x00280999, 0x00289999, 0x20500099])
    def test_what_is_not_known_is_refused(self, tmp_path: Path, tag: int) -> None:
        path = write_dicom(tmp_path / "a.dcm")
        file = pydicom.dcmread(path)
        file.add_new(tag, "US", 1)
        save(file, path)
        with pytest.raises(ImageError, match="not known to this reader"):
            load_image(path)
        file[tag].value = None
        save(file, path)
        near(read(path), GREY)

    def test_an_unknown_functional_group_is_refused(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a.dcm", SharedFunctionalGroupsSequence=[item(XRayFilterSequence=[Dataset()])])
        near(read(path), GREY)
        path = write_dicom(tmp_path / "a.dcm", SharedFunctionalGroupsSequence=[item(MREchoSequence=[Dataset()])])
        with pytest.raises(ImageError, match="functional group MR Echo Sequence"):
            load_image(path)

    def test_private_attributes_are_not_looked_at(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a.dcm")
        file = pydicom.dcmread(path)
        file.private_block(0x0029, "MAKER", create=True).add_new(1, "US", 7)
        save(file, path)
        near(read(path), GREY)


def save(file: Dataset, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file.save_as(path)


class TestBits:
    @pytest.mark.parametrize("shift", [1, 4])
    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless], ids=["raw", "rle"])
    def test_stored_bits_lie_where_the_header_says(self, tmp_path: Path, shift: int, syntax: str) -> None:
        stored = (RAMP << shift).astype(np.uint16)
        near(read(write_dicom(tmp_path / "a.dcm", stored, HighBit=11 + shift, syntax=syntax)), GREY)

    def test_signed_values_too(self, tmp_path: Path) -> None:
        stored = ((RAMP.astype(np.int16) - 2048) << 4).astype(np.int16)
        near(read(write_dicom(tmp_path / "a.dcm", stored, HighBit=15)), GREY)

    def test_something_below_them_refuses(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match=r"High Bit \(0028,0102\)"):
            load_image(write_dicom(tmp_path / "a.dcm", RAMP | 1, HighBit=15))

    @pytest.mark.parametrize("high", [3, 16])
    def test_impossible_places_are_refused(self, tmp_path: Path, high: int) -> None:
        with pytest.raises(ImageError, match=r"High Bit \(0028,0102\)"):
            load_image(write_dicom(tmp_path / "a.dcm", HighBit=high))

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless], ids=["raw", "rle"])
    def test_values_beyond_the_bits_are_clipped_and_said(self, tmp_path: Path, syntax: str) -> None:
        found = load_image(write_dicom(tmp_path / "a.dcm", bits=10, syntax=syntax))
        near(found.pixels, np.clip(RAMP / 1023, 0, 1))
        assert found.source == f"DICOM, 10 bits, {(RAMP > 1023).sum()} values beyond them clipped"

    def test_signed_values_beyond_the_bits(self, tmp_path: Path) -> None:
        stored = np.array([[-3000, -2048, 0, 2047, 3000]], np.int16)
        near(read(write_dicom(tmp_path / "a.dcm", stored)), np.array([[0, 0, 2048 / 4095, 1, 1]]))

    def test_signed_values_without_a_sign_in_the_upper_bits(self, tmp_path: Path) -> None:
        stored = np.array([[-2048, -1, 0, 2047]], np.int16)
        expected = (stored + 2048) / 4095
        near(read(write_dicom(tmp_path / "a.dcm", (stored & 0x0FFF).astype(np.int16))), expected)

    @pytest.mark.parametrize("most", [200, 500])
    def test_a_range_that_nobody_uses_is_refused(self, tmp_path: Path, most: int) -> None:
        stored = np.linspace(0, most, 12).astype(np.uint16).reshape(3, 4)
        with pytest.raises(ImageError, match="nearly of one grey"):
            load_image(write_dicom(tmp_path / "a.dcm", stored, 16))
        near(
            read(write_dicom(tmp_path / "a.dcm", stored, 16, WindowCenter=most / 2 + 0.5, WindowWidth=most + 1)),
            stored / most,
        )


class TestPadding:
    def test_padding_is_black_whatever_becomes_of_values(self, tmp_path: Path) -> None:
        padded = np.where(RAMP == 0, 3, RAMP).astype(np.uint16)
        tags: dict[str, Any] = {"PixelPaddingValue": 3, "PhotometricInterpretation": "MONOCHROME1"}
        near(read(write_dicom(tmp_path / "a.dcm", padded, **tags)), np.where(padded == 3, 0, 1 - padded / 4095))

    @pytest.mark.parametrize(("value", "limit"), [(3000, 3300), (3300, 3000)])
    def test_a_range_either_way_round(self, tmp_path: Path, value: int, limit: int) -> None:
        path = write_dicom(tmp_path / "a.dcm", PixelPaddingValue=value, PixelPaddingRangeLimit=limit)
        near(read(path), np.where((RAMP >= 3000) & (RAMP <= 3300), 0, GREY))

    def test_a_value_beyond_the_stored_bits(self, tmp_path: Path) -> None:
        padded = RAMP.copy()
        padded[0, 0] = 65535
        found = load_image(write_dicom(tmp_path / "a.dcm", padded, PixelPaddingValue=65535))
        near(found.pixels, np.where(padded == 65535, 0, GREY))
        assert found.source == "DICOM, 12 bits"

    def test_a_negative_value(self, tmp_path: Path) -> None:
        stored = (RAMP.astype(np.int16) - 2048).astype(np.int16)
        stored[1, 1] = -2000
        path = write_dicom(tmp_path / "a.dcm", stored)
        file = pydicom.dcmread(path)
        file.add_new("PixelPaddingValue", "SS", -2000)
        file.WindowCenter, file.WindowWidth = -3000, 10
        save(file, path)
        near(read(path), np.where(stored == -2000, 0, 1.0))

    def test_a_limit_without_a_value_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match=r"Pixel Padding Range Limit \(0028,0121\)"):
            load_image(write_dicom(tmp_path / "a.dcm", PixelPaddingRangeLimit=5))


class TestPresentation:
    @pytest.mark.parametrize(
        "tags",
        [
            {"PresentationIntentType": "FOR PROCESSING"},
            {"PresentationIntentType": "for processing "},
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2.1"},
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"},
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.5", "PresentationIntentType": "FOR PRESENTATION"},
        ],
    )
    def test_raw_values_are_no_picture(self, tmp_path: Path, tags: dict[str, Any]) -> None:
        with pytest.raises(NoPicture, match="FOR PROCESSING"):
            load_image(write_dicom(tmp_path / "a.dcm", **tags))

    @pytest.mark.parametrize("relationship", ["LIN", "LOG"])
    def test_a_detectors_values_need_the_word_of_the_file(self, tmp_path: Path, relationship: str) -> None:
        with pytest.raises(ImageError, match=r"Pixel Intensity Relationship \(0028,1040\)"):
            load_image(write_dicom(tmp_path / "a.dcm", PixelIntensityRelationship=relationship))
        tags: dict[str, Any] = {
            "PixelIntensityRelationship": relationship,
            "PresentationIntentType": "FOR PRESENTATION",
        }
        near(read(write_dicom(tmp_path / "a.dcm", **tags)), GREY)

    @pytest.mark.parametrize(
        ("photometric", "shape", "fits"),
        [
            ("MONOCHROME2", "IDENTITY", True),
            ("MONOCHROME2", "INVERSE", False),
            ("MONOCHROME1", "INVERSE", True),
            ("MONOCHROME1", "IDENTITY", False),
            ("MONOCHROME2", "LIN OD", False),
        ],
    )
    def test_the_shape_goes_with_the_interpretation(
        self, tmp_path: Path, photometric: str, shape: str, fits: bool
    ) -> None:
        path = write_dicom(tmp_path / "a.dcm", PhotometricInterpretation=photometric, PresentationLUTShape=shape)
        if fits:
            near(read(path), GREY if photometric == "MONOCHROME2" else 1 - GREY)
        else:
            with pytest.raises(ImageError, match=r"Presentation LUT Shape \(2050,0020\)"):
                load_image(path)

    @pytest.mark.parametrize(
        ("tags", "name"),
        [
            ({"RecommendedViewingMode": "SUB"}, "Recommended Viewing Mode"),
            ({"PixelPresentation": "COLOR"}, "Pixel Presentation"),
            ({"StereoPairsPresent": "YES"}, "Stereo Pairs Present"),
            ({"CalibrationImage": "YES"}, "Calibration Image"),
        ],
    )
    def test_other_ways_of_showing_are_refused(self, tmp_path: Path, tags: dict[str, Any], name: str) -> None:
        with pytest.raises(ImageError, match=name):
            load_image(write_dicom(tmp_path / "a.dcm", **tags))

    @pytest.mark.parametrize("group", [0x6000, 0x6002, 0x601E])
    def test_overlays_with_something_in_them_are_refused(self, tmp_path: Path, group: int) -> None:
        path = write_dicom(tmp_path / "a.dcm")
        file = pydicom.dcmread(path)
        file.add_new((group << 16) | 0x0010, "US", 3)
        file.add_new((group << 16) | 0x3000, "OW", b"\0\0")
        save(file, path)
        near(read(path), GREY)
        file[(group << 16) | 0x3000].value = b"\0\4"
        save(file, path)
        with pytest.raises(ImageError, match=f"Overlay Data \\({group:04X},3000\\)"):
            load_image(path)

    def test_overlays_within_the_pixels_are_refused(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a.dcm")
        file = pydicom.dcmread(path)
        file.add_new(0x60000102, "US", 12)
        save(file, path)
        with pytest.raises(ImageError, match=r"Overlay Bit Position \(6000,0102\)"):
            load_image(path)


class TestSpacing:
    HIGH = np.repeat(RAMP, 2, axis=0)
    WIDE = np.repeat(RAMP, 3, axis=1)

    @pytest.mark.parametrize(
        ("tags", "stored"),
        [
            ({"PixelSpacing": [0.1, 0.2]}, HIGH),
            ({"ImagerPixelSpacing": [0.05, 0.1]}, HIGH),
            ({"NominalScannedPixelSpacing": [1, 2]}, HIGH),
            ({"PixelAspectRatio": [1, 2]}, HIGH),
            ({"PixelAspectRatio": [3, 1]}, WIDE),
            ({"PixelSpacing": [0.3, 0.1], "PixelAspectRatio": [3, 1]}, WIDE),
            ({"PixelSpacing": [0.1, 0.1]}, RAMP),
            ({"PixelSpacing": "", "PixelAspectRatio": [1, 1]}, RAMP),
        ],
    )
    def test_pixels_become_square(self, tmp_path: Path, tags: dict[str, Any], stored: np.ndarray) -> None:
        near(read(write_dicom(tmp_path / "a.dcm", stored, **tags)), GREY)

    def test_of_a_functional_group(self, tmp_path: Path) -> None:
        groups = [item(PixelMeasuresSequence=[item(PixelSpacing=[0.1, 0.2])])]
        near(read(write_dicom(tmp_path / "a.dcm", self.HIGH, SharedFunctionalGroupsSequence=groups)), GREY)

    def test_of_an_ultrasound_region(self, tmp_path: Path) -> None:
        region = item(
            RegionSpatialFormat=1,
            PhysicalUnitsXDirection=3,
            PhysicalUnitsYDirection=3,
            PhysicalDeltaX=0.02,
            PhysicalDeltaY=-0.01,
        )
        near(read(write_dicom(tmp_path / "a.dcm", self.HIGH, SequenceOfUltrasoundRegions=[region])), GREY)
        region.PhysicalUnitsXDirection = 4  # seconds: a trace, not a picture
        near(read(write_dicom(tmp_path / "a.dcm", RAMP, SequenceOfUltrasoundRegions=[region])), GREY)

    @pytest.mark.parametrize(
        "tags",
        [
            {"PixelSpacing": [0.1, 0.2], "PixelAspectRatio": [1, 1]},
            {"PixelSpacing": [0.1, 0]},
            {"PixelSpacing": [0.1]},
            {"PixelAspectRatio": [1, 100]},
            {"PixelSpacing": [-1, -1]},
        ],
    )
    def test_what_contradicts_itself_is_refused(self, tmp_path: Path, tags: dict[str, Any]) -> None:
        with pytest.raises(ImageError, match="Spacing|Aspect"):
            load_image(write_dicom(tmp_path / "a.dcm", **tags))


class TestTables:
    STORED = np.array([[0, 1, 2, 3]], np.uint16)

    @pytest.mark.parametrize("bits", [8, 10, 12, 16])
    def test_a_modality_table_has_the_range_of_its_bits(self, tmp_path: Path, bits: int) -> None:
        white = 2**bits - 1
        lut = table(0, [white, 7, 0, white // 2], bits)
        path = write_dicom(tmp_path / "a.dcm", self.STORED, ModalityLUTSequence=[lut])
        near(read(path), np.array([[1, 7 / white, 0, (white // 2) / white]]))

    def test_a_modality_table_that_uses_less_than_it_declares_needs_a_window(self, tmp_path: Path) -> None:
        lut = table(0, [0, 100, 200, 4095], 16)
        with pytest.raises(ImageError, match=r"Modality LUT Sequence \(0028,3000\) declares 16 bits and uses 12"):
            load_image(write_dicom(tmp_path / "a.dcm", self.STORED, ModalityLUTSequence=[lut]))
        tags: dict[str, Any] = {"WindowCenter": 2048, "WindowWidth": 4096}
        path = write_dicom(tmp_path / "a.dcm", self.STORED, ModalityLUTSequence=[lut], **tags)
        near(read(path), np.array([[0, 100, 200, 4095]]) / 4095)

    @pytest.mark.parametrize("first", [-2, 0, 1])
    def test_values_before_and_beyond_a_table_have_its_ends(self, tmp_path: Path, first: int) -> None:
        stored = np.array([[-2, -1, 0, 1, 2, 3]], np.int16)
        lut = Dataset()
        lut.add_new("LUTDescriptor", "SS", [3, first, 8])
        lut.add_new("LUTData", "OW", np.array([10, 20, 255], "<u2").tobytes())
        path = write_dicom(tmp_path / "a.dcm", stored, VOILUTSequence=[lut])
        expected = [[[10, 20, 255][int(np.clip(value - first, 0, 2))] / 255 for value in stored[0]]]
        near(read(path), np.array(expected))

    def test_a_table_of_65536_entries(self, tmp_path: Path) -> None:
        stored = np.array([[0, 40000, 65535]], np.uint16)
        lut = Dataset()
        lut.add_new("LUTDescriptor", "US", [0, 0, 16])
        lut.add_new("LUTData", "OW", np.arange(65535, -1, -1).astype("<u2").tobytes())
        near(
            read(write_dicom(tmp_path / "a.dcm", stored, 16, VOILUTSequence=[lut])),
            1 - stored / 65535,
        )

    def test_a_table_of_interest_that_declares_too_many_bits(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a.dcm", self.STORED, VOILUTSequence=[table(0, [0, 1000, 2000, 4095], 16)])
        near(read(path), np.array([[0, 1000, 2000, 4095]]) / 4095)

    @pytest.mark.parametrize(
        ("lut", "words"),
        [
            (table(0, [0, 1, 2, 300], 8), "entries beyond the 8 bits"),
            (table(0, [0, 1, 2, 3], 20), "declares 20 bits"),
            (item(LUTExplanation="no table"), "LUT Descriptor"),
        ],
    )
    def test_malformed_tables_are_named(self, tmp_path: Path, lut: Dataset, words: str) -> None:
        for keyword in ("ModalityLUTSequence", "VOILUTSequence"):
            with pytest.raises(ImageError, match=words):
                load_image(write_dicom(tmp_path / "a.dcm", self.STORED, **tagged(keyword, [lut])))

    def test_a_table_of_another_length_than_it_declares(self, tmp_path: Path) -> None:
        lut = table(0, [0, 1, 2, 3], 8)
        lut.LUTDescriptor = [5, 0, 8]
        with pytest.raises(ImageError, match=r"LUT Data \(0028,3006\)"):
            load_image(write_dicom(tmp_path / "a.dcm", self.STORED, VOILUTSequence=[lut]))

    def test_a_table_and_a_rescale_exclude_each_other(self, tmp_path: Path) -> None:
        tags: dict[str, Any] = {"ModalityLUTSequence": [table(0, [0, 1], 8)], "RescaleSlope": 1, "RescaleIntercept": 0}
        with pytest.raises(ImageError, match="exclude each other"):
            load_image(write_dicom(tmp_path / "a.dcm", **tags))


class TestWindows:
    @pytest.mark.parametrize(
        ("function", "width", "expected"),
        [
            ("LINEAR", 1, lambda x: np.where(x <= 999.5, 0.0, 1.0)),
            ("LINEAR_EXACT", 0.5, lambda x: np.clip((x - 1000) / 0.5 + 0.5, 0, 1)),
            ("LINEAR_EXACT", 1000, lambda x: np.clip((x - 1000) / 1000 + 0.5, 0, 1)),
            ("", 1001, lambda x: np.clip((x - 999.5) / 1000 + 0.5, 0, 1)),
        ],
    )
    def test_functions(self, tmp_path: Path, function: str, width: float, expected: Any) -> None:
        path = write_dicom(tmp_path / "a.dcm", WindowCenter=1000, WindowWidth=width, VOILUTFunction=function)
        near(read(path), expected(RAMP.astype(float)))

    @pytest.mark.parametrize(
        ("tags", "words"),
        [
            ({"WindowCenter": 5, "WindowWidth": 0.5}, "Window Width"),
            ({"WindowCenter": 5, "WindowWidth": -3}, "Window Width"),
            ({"WindowCenter": 5, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"}, "Window Width"),
            ({"WindowCenter": [5, 6], "WindowWidth": 3}, "2 values and Window Width"),
            ({"WindowCenter": 5}, "1 values and Window Width"),
            ({"WindowCenter": 5, "WindowWidth": 3, "VOILUTFunction": "CUBIC"}, "VOI LUT Function"),
            ({"RescaleSlope": 2}, "without Rescale Intercept"),
            ({"RescaleIntercept": 2}, "without Rescale Slope"),
        ],
    )
    def test_what_is_incomplete_is_named(self, tmp_path: Path, tags: dict[str, Any], words: str) -> None:
        with pytest.raises(ImageError, match=words):
            load_image(write_dicom(tmp_path / "a.dcm", **tags))


class TestText:
    """Values as devices write them: with blanks, commas, nothing, or nonsense."""

    @pytest.mark.parametrize(
        ("written", "read_as"),
        [(b"1000,5 ", 1000.5), (b" 1000.5", 1000.5), (b"1.0005e3", 1000.5), (b"+1000.5", 1000.5)],
    )
    def test_numbers(self, tmp_path: Path, written: bytes, read_as: float) -> None:
        path = write_dicom(tmp_path / "a.dcm", WindowCenter="1000.25", WindowWidth="801.0")
        content = path.read_bytes()
        path.write_bytes(content.replace(b"1000.25 ", written.ljust(8)))
        near(read(path), np.clip((RAMP - read_as + 0.5) / 800 + 0.5, 0, 1))

    @pytest.mark.parametrize(
        "written", [b"1.000,5 ", b"broad   ", b"1e999   ", b"0x10    ", b"1_000   ", b"\xff\xfe      "]
    )
    def test_nonsense_is_named(self, tmp_path: Path, written: bytes) -> None:
        path = write_dicom(tmp_path / "a.dcm", WindowCenter="1000.25", WindowWidth="801.0")
        path.write_bytes(path.read_bytes().replace(b"1000.25 ", written))
        with pytest.raises(ImageError, match=r"Window Center \(0028,1050\)"):
            load_image(path)

    @pytest.mark.parametrize(
        "keyword",
        [
            "RescaleSlope",
            "RescaleIntercept",
            "WindowCenter",
            "PixelSpacing",
            "PresentationLUTShape",
            "ModalityLUTSequence",
            "VOILUTSequence",
            "SharedFunctionalGroupsSequence",
            "NumberOfFrames",
            "VOILUTFunction",
        ],
    )
    def test_what_is_there_and_empty_is_missing(self, tmp_path: Path, keyword: str) -> None:
        path = write_dicom(tmp_path / "a.dcm")
        file = pydicom.dcmread(path)
        setattr(file, keyword, Sequence() if keyword.endswith("Sequence") else None)
        save(file, path)
        near(read(path), GREY)


class TestEncodings:
    @pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
    def test_uncompressed_syntaxes(self, tmp_path: Path, syntax: str) -> None:
        stored = RAMP.astype(">u2") if syntax == ExplicitVRBigEndian else RAMP
        lut = table(0, list(range(0, 4096, 256)), 12)
        path = write_dicom(tmp_path / "a.dcm", stored, syntax=syntax, VOILUTSequence=[lut])
        near(read(path), np.clip(RAMP, 0, 15) * 256 / 4095)

    def test_eight_bits_in_big_endian_words(self, tmp_path: Path) -> None:
        stored = np.arange(9, dtype=np.uint8).reshape(3, 3)
        words = np.frombuffer(stored.tobytes() + b"\0", "<u2").astype(">u2").tobytes()
        path = write_dicom(tmp_path / "a.dcm", stored, 8, syntax=ExplicitVRBigEndian)
        file = pydicom.dcmread(path)
        del file.PixelData
        file.add_new("PixelData", "OW", words)
        pydicom.dcmwrite(path, file, implicit_vr=False, little_endian=False)
        near(read(path), stored / 255)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 3)])
    def test_odd_numbers_of_bytes_are_filled_up(self, tmp_path: Path, shape: tuple[int, int]) -> None:
        stored = np.full(shape, 51, np.uint8)
        near(read(write_dicom(tmp_path / "a.dcm", stored, 8, PixelData=stored.tobytes() + b"\0")), stored / 255)

    @pytest.mark.parametrize("implicit", [True, False])
    def test_without_preamble_or_file_meta(self, tmp_path: Path, implicit: bool) -> None:
        path = write_dicom(tmp_path / "a.dcm")
        bare = Dataset()
        bare.update(pydicom.dcmread(path))
        del bare["PixelData"]
        bare.add_new("PixelData", "OW", RAMP.tobytes())
        pydicom.dcmwrite(tmp_path / "bare", bare, implicit_vr=implicit, little_endian=True)
        near(read(tmp_path / "bare"), GREY)

    def test_a_deflated_bomb_is_refused(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a.dcm", syntax=DeflatedExplicitVRLittleEndian)
        head = path.read_bytes()
        start = head.index(DeflatedExplicitVRLittleEndian.encode()) + len(DeflatedExplicitVRLittleEndian)
        packer = zlib.compressobj(9, wbits=-15)
        block = packer.compress(b"\0" * (1 << 22)) + packer.flush(zlib.Z_FULL_FLUSH)  # may be repeated
        packed = block * 160 + packer.flush()
        path.write_bytes(head[: start + start % 2] + packed)
        with pytest.raises(ImageError, match="deflated data set|damaged"):
            load_image(path)

    @pytest.mark.parametrize(
        "syntax",
        ["1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.203", "1.2.840.10008.1.2.4.102"],
    )
    def test_syntaxes_that_nobody_here_reads_are_named(self, tmp_path: Path, syntax: str) -> None:
        uid = pydicom.uid.UID(syntax)
        path = write_dicom(tmp_path / "a.dcm")
        file = pydicom.dcmread(path)
        file.file_meta.TransferSyntaxUID = uid
        file.PixelData = pydicom.encaps.encapsulate([b"\0" * 8])
        file["PixelData"].is_undefined_length = True
        save(file, path)
        with pytest.raises(ImageError, match=re.escape(str(uid.name)[:30])):
            load_image(path)


class TestColour:
    GREY8 = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20

    @pytest.mark.parametrize("planar", [0, 1])
    def test_equal_channels_are_grey(self, tmp_path: Path, planar: int) -> None:
        pixels = np.stack([self.GREY8] * 3, axis=0 if planar else -1)
        near(read(self.colour(tmp_path, pixels, planar)), self.GREY8 / 255)

    @pytest.mark.parametrize("planar", [0, 1])
    def test_colour_is_refused(self, tmp_path: Path, planar: int) -> None:
        pixels = np.stack([self.GREY8, self.GREY8, self.GREY8 // 2], axis=0 if planar else -1)
        with pytest.raises(ImageError, match="colour: the channels of a pixel differ by 110 of 255"):
            load_image(self.colour(tmp_path, pixels, planar))

    def test_a_lossy_compression_of_before_may_have_rounded_them_apart(self, tmp_path: Path) -> None:
        pixels = np.stack([self.GREY8, self.GREY8 + 3, self.GREY8], axis=-1)
        with pytest.raises(ImageError, match="differ by 3 of 255"):
            load_image(self.colour(tmp_path, pixels, 0))
        near(read(self.colour(tmp_path, pixels, 0, LossyImageCompression="01")), (self.GREY8 + 1) / 255)

    def colour(self, folder: Path, pixels: np.ndarray, planar: int, **more: Any) -> Path:
        tags: dict[str, Any] = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": planar}
        return write_dicom(folder / "a.dcm", pixels, 8, Rows=3, Columns=4, **tags, **more)


class TestFrames:
    STACK = np.stack([RAMP, RAMP[::-1], RAMP // 2]).astype(np.uint16)

    def test_one_has_to_be_chosen(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a.dcm", self.STACK, NumberOfFrames=3)
        with pytest.raises(ImageError, match=r"3 frames, and none was chosen.*`frame` N"):
            load_image(path)
        with pytest.raises(ImageError, match="one picture is needed"):
            read(path, "all")

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless], ids=["raw", "rle"])
    def test_choices(self, tmp_path: Path, syntax: str) -> None:
        path = write_dicom(tmp_path / "a.dcm", self.STACK, NumberOfFrames=3, syntax=syntax)
        near(read(path, "2"), self.STACK[1] / 4095)
        near(read(path, "max"), self.STACK.max(0) / 4095)
        near(read(path, "max:2-3"), self.STACK[1:].max(0) / 4095)
        found = list(load_frames(path, FrameChoice.parse("all")))
        assert [number for number, _ in found] == [1, 2, 3]
        for (_, image), stored in zip(found, self.STACK, strict=True):
            near(image.pixels, stored / 4095)

    @pytest.mark.parametrize("frame", ["4", "max:2-4", "max:3-2"])
    def test_frames_that_are_not_there(self, tmp_path: Path, frame: str) -> None:
        path = write_dicom(tmp_path / "a.dcm", self.STACK, NumberOfFrames=3)
        with pytest.raises(ImageError, match="holds 3 frames"):
            read(path, frame)

    @pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "some", "max:", "max:1", "1-2", "9" * 30, "\u0663"])
    def test_malformed_choices(self, text: str) -> None:
        with pytest.raises(ImageError, match="give a number from 1, all, max"):
            FrameChoice.parse(text)

    def test_each_frame_has_its_own_window_and_rescale(self, tmp_path: Path) -> None:
        shared = item(PixelValueTransformationSequence=[item(RescaleSlope=2, RescaleIntercept=0)])
        windows = [(1000, 2001), (2000, 4001), (500, 1001)]
        own = [
            item(FrameVOILUTSequence=[item(WindowCenter=centre, WindowWidth=width)], FrameContentSequence=[Dataset()])
            for centre, width in windows
        ]
        tags: dict[str, Any] = {"SharedFunctionalGroupsSequence": [shared], "PerFrameFunctionalGroupsSequence": own}
        path = write_dicom(tmp_path / "a.dcm", self.STACK, NumberOfFrames=3, **tags)
        for place, (centre, width) in enumerate(windows):
            expected = np.clip((2.0 * self.STACK[place] - centre + 0.5) / (width - 1) + 0.5, 0, 1)
            near(read(path, str(place + 1)), expected)

    def test_groups_that_contradict_the_file_are_refused(self, tmp_path: Path) -> None:
        own = [item(FrameVOILUTSequence=[item(WindowCenter=9, WindowWidth=9)])] * 2
        path = write_dicom(tmp_path / "a.dcm", self.STACK, NumberOfFrames=3, PerFrameFunctionalGroupsSequence=own)
        with pytest.raises(ImageError, match="describes 2 frames"):
            read(path, "1")
        tags: dict[str, Any] = {"PerFrameFunctionalGroupsSequence": own[:1] * 3, "WindowCenter": 8, "WindowWidth": 9}
        path = write_dicom(tmp_path / "a.dcm", self.STACK, NumberOfFrames=3, **tags)
        with pytest.raises(ImageError, match=r"Window Center \(0028,1050\) is given in two places that differ"):
            read(path, "1")

    def test_memory_is_that_of_one_frame(self, tmp_path: Path) -> None:
        stack = np.zeros((26, 2000, 1000), np.uint16)
        stack[:, ::3] = np.arange(1000) * 4
        path = write_dicom(tmp_path / "a.dcm", stack)
        assert path.stat().st_size > 100_000_000
        DECODERS.close()  # one that has held less than it will
        with DecoderWatch() as watch:
            read(path, "max:1-3")
            shapes = {image.pixels.shape for _, image in load_frames(path, FrameChoice.parse("all"))}
        assert shapes == {(2000, 1000)}
        assert watch.most_held() < 160_000_000
        assert watch.own_bytes < 60_000_000


class TestNested:
    """What lies in functional groups is heeded there, or refused."""

    LUT = table(0, [4095 - value for value in range(4096)], 12)
    STACK = np.stack([RAMP, RAMP])

    @pytest.mark.parametrize("keyword", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
    def test_a_table_of_values_of_interest(self, tmp_path: Path, keyword: str) -> None:
        group = item(FrameVOILUTSequence=[item(VOILUTSequence=[self.LUT])])
        groups = [group] * (2 if keyword.startswith("Per") else 1)
        near(read(write_dicom(tmp_path / "a.dcm", self.STACK, **tagged(keyword, groups)), "1"), 1 - GREY)

    def test_tables_in_two_places_are_refused(self, tmp_path: Path) -> None:
        group = item(FrameVOILUTSequence=[item(VOILUTSequence=[self.LUT])])
        tags: dict[str, Any] = {"SharedFunctionalGroupsSequence": [group], "VOILUTSequence": [self.LUT]}
        with pytest.raises(ImageError, match=r"VOI LUT Sequence \(0028,3010\) is given in 2 places"):
            read(write_dicom(tmp_path / "a.dcm", self.STACK, **tags), "1")

    @pytest.mark.parametrize(
        ("group", "inner"),
        [
            ("PixelValueTransformationSequence", {"ModalityLUTSequence": [LUT]}),
            ("PixelMeasuresSequence", {"WindowCenter": 100, "WindowWidth": 100}),
            ("FrameVOILUTSequence", {"RescaleSlope": 2, "RescaleIntercept": 0}),
            ("FrameVOILUTSequence", {"PixelPaddingRangeLimit": 3}),
        ],
    )
    def test_what_is_not_read_there_is_refused(self, tmp_path: Path, group: str, inner: dict[str, Any]) -> None:
        groups = [item(**{group: [item(**inner)]})]
        with pytest.raises(ImageError, match="is not read within the functional group"):
            read(write_dicom(tmp_path / "a.dcm", self.STACK, SharedFunctionalGroupsSequence=groups), "1")


class TestSigns:
    @pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
    def test_a_table_that_begins_below_0_and_says_us(self, tmp_path: Path, keyword: str) -> None:
        stored = np.array([[-1024, -24, 1000, 2047]], np.int16)
        lut = table(65536 - 1024, [*range(4096)], 12)
        near(read(write_dicom(tmp_path / "a.dcm", stored, **tagged(keyword, [lut]))), (stored + 1024) / 4095)

    def test_a_table_behind_a_rescale_below_0(self, tmp_path: Path) -> None:
        tags: dict[str, Any] = {
            "RescaleSlope": 1,
            "RescaleIntercept": -1024,
            "VOILUTSequence": [table(64512, [*range(4096)], 12)],
        }
        near(read(write_dicom(tmp_path / "a.dcm", **tags)), GREY)

    def test_a_table_that_no_pixel_reaches(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="the table makes one grey of all pixels"):
            load_image(write_dicom(tmp_path / "a.dcm", VOILUTSequence=[table(30000, [*range(4096)], 12)]))

    def test_padding_whose_sign_is_not_extended(self, tmp_path: Path) -> None:
        cells = np.array([[0x800, 0, 100], [200, 0x7FF, 0xFFF]], np.uint16)
        tags: dict[str, Any] = {"PixelRepresentation": 1, "PhotometricInterpretation": "MONOCHROME1"}
        path = write_dicom(tmp_path / "a.dcm", cells, **tags)
        file = pydicom.dcmread(path)
        file.add_new("PixelPaddingValue", "SS", -2048)
        save(file, path)
        values = np.array([[-2048, 0, 100], [200, 2047, -1]])
        near(read(path), np.where(values == -2048, 0, 1 - (values + 2048) / 4095))

    def test_padding_of_signed_pixels_written_without_a_sign(self, tmp_path: Path) -> None:
        stored = np.array([[-2000, 0, 100], [200, 2047, -1]], np.int16)
        path = write_dicom(tmp_path / "a.dcm", stored, PhotometricInterpretation="MONOCHROME1")
        file = pydicom.dcmread(path)
        file.add_new("PixelPaddingValue", "US", 65536 - 2000)
        save(file, path)
        near(read(path), np.where(stored == -2000, 0, 1 - (stored + 2048) / 4095))

    def test_one_stray_bit_leaves_signs_untold(self, tmp_path: Path) -> None:
        cells = np.array([[0xFFF, 0x800, 0, 2000, 0x1002]], np.uint16)
        with pytest.raises(ImageError, match="which of them are negative cannot be told"):
            load_image(write_dicom(tmp_path / "a.dcm", cells, PixelRepresentation=1))


class TestContradictions:
    def test_more_frames_than_the_header_says(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a.dcm", np.stack([RAMP, RAMP[::-1]]), syntax=RLELossless)
        near(read(path, "2"), GREY[::-1])
        file = pydicom.dcmread(path)
        for frames in (1, 3):
            file.NumberOfFrames = frames
            save(file, path)
            with pytest.raises(ImageError, match=r"hold 2 frames in 2 fragments, and Number of Frames"):
                read(path, "1")

    def test_luminance_and_colour_that_are_not_compressed(self, tmp_path: Path) -> None:
        grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
        tags: dict[str, Any] = {
            "SamplesPerPixel": 3,
            "PhotometricInterpretation": "YBR_FULL",
            "PlanarConfiguration": 0,
            "Rows": 3,
            "Columns": 4,
        }
        plain = np.stack([grey, np.full_like(grey, 128), np.full_like(grey, 128)], axis=-1)
        near(read(write_dicom(tmp_path / "a.dcm", plain, 8, **tags)), grey / 255)
        with pytest.raises(ImageError, match="has colour"):
            load_image(write_dicom(tmp_path / "a.dcm", np.stack([grey] * 3, axis=-1), 8, **tags))

    @pytest.mark.parametrize("written", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
    def test_elements_written_otherwise_than_the_transfer_syntax_says(self, tmp_path: Path, written: str) -> None:
        said = {ImplicitVRLittleEndian: ExplicitVRLittleEndian, ExplicitVRLittleEndian: ImplicitVRLittleEndian}[written]
        path = write_dicom(tmp_path / "a.dcm", syntax=written)
        file = pydicom.dcmread(path)
        file.file_meta.TransferSyntaxUID = said
        implicit = written == ImplicitVRLittleEndian
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pydicom.dcmwrite(path, file, implicit_vr=implicit, little_endian=True, force_encoding=True)
        near(read(path), GREY)

    @pytest.mark.parametrize(
        "keyword", ["VOILUTFunction", "PresentationLUTShape", "PhotometricInterpretation", "CalibrationImage"]
    )
    def test_messages_repeat_nothing_that_may_be_about_a_person(self, tmp_path: Path, keyword: str) -> None:
        path = write_dicom(tmp_path / "a.dcm", WindowCenter=5, WindowWidth=5, **tagged(keyword, "MILLER^ANNA"))
        with pytest.raises(ImageError, match="another value than the standard defines") as caught:
            load_image(path)
        assert "MILLER" not in str(caught.value)

    def test_several_values_that_are_all_empty_are_none(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a.dcm", WindowCenter="1000.25", WindowWidth="801.251")
        content = path.read_bytes().replace(b"1000.25 ", b"\\       ").replace(b"801.251 ", b"\\       ")
        path.write_bytes(content)
        near(read(path), GREY)
