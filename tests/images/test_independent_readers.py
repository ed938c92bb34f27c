"""Pictures are what readers that share no code with ours make of them, or refused: a sample of `python -m benchmarks.picture_readers`."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRBigEndian, RLELossless

from benchmarks.picture_readers.cases import ENCODERS, MAMMOGRAMS, Case, cases
from benchmarks.picture_readers.judging import ROUNDING, judge
from benchmarks.picture_readers.trial import PICTURES, Trial, pictures
from benchmarks.picture_readers.writing import write
from cryptml.errors import ImageError
from cryptml.images import load_image
from tests.images import independent_readers as readers
from tests.images.dicom_files import RAMP, write_dicom
from tests.images.plain_grey_scale import grey_of_cells

pytestmark = pytest.mark.usefixtures("unmeasured_children")

ABSENT = readers.absent()
needs_readers = pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT))

COLOUR = "the picture has colour"
NOTHING = "the file holds no picture"
REFUSED = {
    COLOUR: """
        ExplVR_BigEnd.dcm SC_jpeg_no_color_transform.dcm SC_jpeg_no_color_transform_2.dcm SC_rgb_dcmtk_+eb+cr.dcm SC_rgb_dcmtk_+eb+cy+n1.dcm
        SC_rgb_dcmtk_+eb+cy+n2.dcm SC_rgb_dcmtk_+eb+cy+np.dcm SC_rgb_dcmtk_+eb+cy+s2.dcm SC_rgb_dcmtk_+eb+cy+s4.dcm SC_rgb_gdcm_KY.dcm
        SC_rgb_jls_lossy_line.dcm SC_rgb_jls_lossy_sample.dcm SC_rgb_jpeg.dcm SC_rgb_jpeg_app14_dcmd.dcm SC_rgb_jpeg_dcmd.dcm SC_rgb_jpeg_dcmtk.dcm
        SC_rgb_jpeg_gdcm.dcm SC_rgb_jpeg_lossy_gdcm.dcm SC_rgb_rle.dcm SC_rgb_rle_2frame.dcm SC_rgb_small_odd.dcm
        SC_rgb_small_odd_big_endian.dcm SC_rgb_small_odd_jpeg.dcm examples_jpeg2k.dcm examples_rgb_color.dcm examples_ybr_color.dcm
    """,
    "the picture is not grey (photometric interpretation 'PALETTE COLOR'": "examples_palette.dcm",
    "colour of 16 bits is not read": "SC_rgb_rle_16bit.dcm SC_rgb_rle_16bit_2frame.dcm",
    "Photometric Interpretation (0028,0004): YBR_FULL_422 is read where it is compressed alone": "SC_ybr_full_422_uncompressed.dcm",
    "Bits Allocated (0028,0100) is 32": """
        SC_rgb_rle_32bit.dcm SC_rgb_rle_32bit_2frame.dcm rtdose.dcm rtdose_1frame.dcm rtdose_expb.dcm rtdose_expb_1frame.dcm rtdose_rle.dcm
        rtdose_rle_1frame.dcm
    """,
    "Bits Allocated (0028,0100) is 1;": "liver_1frame.dcm liver_expb_1frame.dcm",
    "Overlay Data (6000,3000)": "examples_overlay.dcm",
    "Bits Stored (0028,0101) is 16, and the values span": "CT_small.dcm JPEG2000.dcm",  # no window says what is white
    "JPEG of 12 bits": "JPEG-lossy.dcm JPGExtended.dcm",
    "a frame's values are unsigned, which Pixel Representation (0028,0103) contradicts": "J2K_pixelrep_mismatch.dcm",
    "a compressed frame does not begin as JPEG": "GDCMJ2K_TextGBR.dcm",  # a file of JPEG 2000 in it, where a code stream belongs
    "a frame says that it has 3722445056 columns": "JPEG2000-embedded-sequence-delimiter.dcm",  # made so
    "the file is damaged or truncated: 8130 of 8192 bytes": "MR_truncated.dcm",
    "Number of Frames (0028,0008) holds a value that is no decimal number": "badVR.dcm",
    "it is neither DICOM, PNG": "ExplVR_BigEndNoMeta.dcm no_meta.dcm",  # no preamble, and no beginning that would tell
    NOTHING: """
        DICOMDIR DICOMDIR-bigEnd DICOMDIR-empty.dcm DICOMDIR-implicit DICOMDIR-nooffset DICOMDIR-nopatient DICOMDIR-reordered
        ExplVR_LitEndNoMeta.dcm UN_sequence.dcm empty_charset_LEI.dcm meta_missing_tsyntax.dcm nested_priv_SQ.dcm no_meta_group_length.dcm
        priv_SQ.dcm reportsi.dcm reportsi_with_empty_number_tags.dcm rtplan.dcm rtplan_truncated.dcm rtstruct.dcm test-SR.dcm
        waveform_ecg.dcm
    """,
}
"""Beginnings of refusals, and names of the files inside pydicom that they are of; besides those of a DICOMDIR's small references."""

REASONS = {name: reason for reason, names in REFUSED.items() for name in names.split()}


@needs_readers
def test_every_picture_inside_pydicom_is_exact_or_refused_as_expected() -> None:
    trial, read = Trial(), 0
    for path in pictures():
        verdict = judge(path)
        expected = NOTHING if "TINY_ALPHA" in path.parts else REASONS.get(path.name)
        if expected is None:
            assert verdict.outcome == "exact", (path.name, verdict)
            read += 1
        else:
            assert verdict.outcome == "refused", (path.name, verdict)
            assert verdict.said.startswith(expected), (path.name, verdict)
        trial.note(path.name, verdict, expected_refusal=True)
    assert read == 43
    assert trial.wrong == []


def _sample() -> list[Case]:
    """Some of the cases of each encoder, and one of colour that holds none."""
    generator = random.Random(3)
    every = list(cases(0))
    chosen = []
    for encoder in ENCODERS:
        of_one = [case for case in every if case.encoder == encoder and case.source < 2]
        chosen += generator.sample([case for case in of_one if case.photometric != "RGB"], 1 if "," in encoder else 2)
    chosen += generator.sample([case for case in every if case.photometric == "RGB" and case.source < 2], 4)
    return sorted(chosen, key=lambda case: case.source)


@needs_readers
def test_mammograms_in_every_syntax_are_exact() -> None:
    trial = Trial()
    verdicts = [trial.case(case) for case in _sample()]
    assert trial.wrong == []
    outcomes = [verdict.outcome for verdict in verdicts if verdict is not None]
    assert outcomes.count("exact") + outcomes.count("within 1") >= 34
    read = {name for name, tally in trial.tallies.items() if tally["exact"]}
    assert len(read) == 13, "every transfer syntax that is read"
    assert trial.table().row_count == len(trial.tallies) + 1


@needs_readers
def test_a_whole_mammogram_is_exact() -> None:
    assert judge(MAMMOGRAMS[6]).outcome == "exact"


@needs_readers
def test_another_value_of_one_pixel_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: by one level of 16 bits in one place."""
    path = write(Case(0, "explicit", 16, 16, 0, "MONOCHROME2", signed=False, frames=1, seed=8), tmp_path)
    assert judge(path).outcome == "exact"
    decode = readers.decode

    def lying(path: Path) -> readers.Decoded:
        decoded = decode(path)
        cells = decoded.frames[0].copy()
        cells[17] ^= 1
        return readers.Decoded(decoded.attributes, decoded.syntax, [cells])

    monkeypatch.setattr(readers, "decode", lying)
    assert judge(path).outcome == "differs"


@needs_readers
@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big endian", "RLE"])
@pytest.mark.parametrize("signed", [False, True])
def test_bits_above_the_lowest_are_read(tmp_path: Path, syntax: str, signed: bool) -> None:
    """A high bit above the stored ones: 12 bits over 3."""
    path = write(Case(0, syntax, 16, 12, 3, "MONOCHROME2", signed, frames=2, seed=0), tmp_path)
    assert judge(path).outcome == "exact"


@pytest.mark.parametrize(("stored", "bits"), [(RAMP, 12), ((RAMP.astype(np.int16) - 2048).astype(np.int16), 12)])
def test_big_endian_is_read_as_little_endian(tmp_path: Path, stored: np.ndarray, bits: int) -> None:
    path = write_dicom(tmp_path / "a.dcm", stored, bits)
    file = pydicom.dcmread(path)
    file.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    file.PixelData = stored.astype(stored.dtype.newbyteorder(">")).tobytes()
    pydicom.dcmwrite(tmp_path / "b.dcm", file, implicit_vr=False, little_endian=False, force_encoding=True)
    np.testing.assert_array_equal(load_image(tmp_path / "b.dcm").pixels, load_image(path).pixels)
    np.testing.assert_allclose(load_image(path).pixels, RAMP / 4095, atol=1e-6)


def test_signed_runs_above_unused_bits_are_read(tmp_path: Path) -> None:
    values = np.array([[-128, -1, 0, 127]], np.int16)
    path = write_dicom(tmp_path / "a.dcm", values << 4, 8, HighBit=11)
    plain = load_image(path).pixels
    file = pydicom.dcmread(path)
    file.BitsStored = 16
    file.compress(RLELossless, values << 4, generate_instance_uid=False)
    file.BitsStored = 8
    file.save_as(tmp_path / "b.dcm")
    np.testing.assert_allclose(plain, (values + 128) / 255, atol=1e-6)
    np.testing.assert_array_equal(load_image(tmp_path / "b.dcm").pixels, plain)


def test_lengths_of_groups_are_no_attributes(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm")
    content = path.read_bytes()
    for begin in (b"\x28\0\x02\0US", b"\xe0\x7f\x10\0OW"):
        assert content.count(begin) == 1
        content = content.replace(begin, begin[:2] + b"\0\0UL\x04\0\x22\0\0\0" + begin)
    (tmp_path / "b.dcm").write_bytes(content)
    np.testing.assert_array_equal(load_image(tmp_path / "b.dcm").pixels, load_image(path).pixels)


@needs_readers
@pytest.mark.parametrize(
    "encoder", ["JPEG baseline", "JPEG extended", "JPEG lossless", "JPEG lossless SV1", "JPEG-LS", "JPEG 2000", "RLE"]
)
@pytest.mark.parametrize("share", [0.3, 0.97])
def test_a_code_stream_that_ends_early_is_refused(tmp_path: Path, encoder: str, share: float) -> None:
    """Also where it has an end marker: decoders fill in the rest with grey then."""
    path = write(Case(0, encoder, 8, 8, 0, "MONOCHROME2", signed=False, frames=1, seed=1), tmp_path)
    file = pydicom.dcmread(path)
    [code] = generate_frames(file.PixelData, number_of_frames=1)
    for end in (b"", b"\xff\xd9"):
        cut = code[: int(len(code) * share)] + end
        file.PixelData = encapsulate([cut + b"\0" * (len(cut) % 2)])
        file.save_as(tmp_path / "cut.dcm")
        with pytest.raises(ImageError, match="damaged"):
            load_image(tmp_path / "cut.dcm")


NUMBER = st.floats(-5000, 70000, allow_nan=False).map(lambda value: round(value, 3))
"""Texts of decimal numbers have 16 characters at most."""


@st.composite
def tables(draw: st.DrawFn, *, signed: bool) -> Dataset:
    """A table of few entries; its first value is signed where values are."""
    bits = draw(st.sampled_from([8, 10, 12, 16]))
    entries = draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=12))
    first = draw(st.integers(-300, 300)) if signed else draw(st.integers(0, 600))
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries)
    return item


@st.composite
def grey_scales(draw: st.DrawFn) -> tuple[np.ndarray, int, dict[str, object]]:
    """Cells, bits stored, and attributes that bear on grey levels, in any combination."""
    signed = draw(st.booleans())
    stored = draw(st.integers(2, 16))
    low = draw(st.integers(0, 16 - stored))
    least = -(1 << (stored - 1)) if signed else 0
    values = draw(st.lists(st.integers(least, least + (1 << stored) - 1), min_size=8, max_size=8))
    values[:2] = [least, least + (1 << stored) - 1]
    tags: dict[str, object] = {
        "HighBit": stored + low - 1,
        "PhotometricInterpretation": draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"])),
    }
    modality = draw(st.sampled_from(["none", "line", "table"]))
    slope = 1.0
    if modality == "line":
        slope = draw(st.sampled_from([1.0, 2.0, -1.0, 0.25, 1.5]))
        tags |= {"RescaleSlope": slope, "RescaleIntercept": draw(st.integers(-2000, 2000))}
    elif modality == "table":
        tags["ModalityLUTSequence"] = [draw(tables(signed=signed))]
    voi = draw(st.sampled_from(["none", "window", "table"]))
    if voi == "window":
        function = draw(st.sampled_from(["", "LINEAR", "LINEAR_EXACT", "SIGMOID"]))
        width = draw(st.one_of(st.integers(1, 5000), NUMBER.map(lambda value: 1 + abs(value))))
        near = least + draw(st.integers(0, 1 << stored)) if modality != "table" else draw(st.integers(0, 300))
        tags |= {"WindowCenter": near, "WindowWidth": round(width, 3)}
        if function:
            tags["VOILUTFunction"] = function
    elif voi == "table":
        below = signed and modality == "none"
        tags["VOILUTSequence"] = [draw(tables(signed=below))]
    if draw(st.booleans()):
        tags["PixelPaddingValue"] = draw(st.sampled_from(values))
        if draw(st.booleans()):
            tags["PixelPaddingRangeLimit"] = draw(st.sampled_from(values))
    cells = (np.array([values], np.int64) << low).astype(np.int16 if signed else np.uint16)
    return cells, stored, tags


REFUSALS = (
    "the rescale or window maps every value to",  # a table of one grey
    "the table makes one grey of all pixels",  # see below
    "makes fractions",  # a table behind a rescale by fractions
    "declares",  # a modality table whose entries use fewer bits than it says
    "the values span",  # hardly any of the range is used
)


@needs_readers
def test_grey_scale_arithmetic_is_that_of_the_standard(tmp_path: Path) -> None:
    counts = {"exact": 0, "refused": 0}
    path = tmp_path / "a.dcm"

    @settings(max_examples=120)
    @given(grey_scales())
    def check(drawn: tuple[np.ndarray, int, dict[str, object]]) -> None:
        cells, stored, tags = drawn
        write_dicom(path, cells, stored, **tags)
        try:
            found = load_image(path).pixels
        except ImageError as error:
            assert any(each in str(error) for each in REFUSALS), str(error)
            if "one grey of all pixels" in str(error):
                grey = grey_of_cells(readers.dump(path))
                greys = {grey(int(cell)) for cell in cells.view(np.uint16).ravel()}
                assert len(greys - {0.0}) <= 1, "0 may be padding"
                assume(False)  # drawn again
            counts["refused"] += 1
            return
        grey = grey_of_cells(readers.dump(path))
        expected = [grey(int(cell)) for cell in cells.view(np.uint16).ravel()]
        np.testing.assert_allclose(found[0], expected, rtol=0, atol=ROUNDING)
        counts["exact"] += 1

    check()
    assert counts["exact"] >= 2 * counts["refused"], counts
    assert counts["exact"] >= 60, counts


def test_names_of_refusals_are_those_of_files() -> None:
    there = {path.name for path in PICTURES.rglob("*")}
    assert set(REASONS) <= there
