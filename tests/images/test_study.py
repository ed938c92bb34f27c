"""Studies: folders and DICOMDIRs, their pictures by side and view."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.fileset import FileSet
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage, generate_uid
from typer.testing import CliRunner

from cryptml.cli.main import app
from cryptml.errors import ImageError
from cryptml.images import describe_file
from cryptml.images.study import ViewChoice, find_pictures, is_study
from tests.images.dicom_files import RAMP, item, write_dicom

VIEWS = [("L", "MLO"), ("R", "CC"), ("L", "CC"), ("R", "MLO")]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Four views, raw values of one of them, a report, a page of text, and what operating systems leave."""
    folder = tmp_path / "study"
    (folder / "series").mkdir(parents=True)
    for number, (side, view) in enumerate(VIEWS):
        write_dicom(folder / "series" / f"IM{number}", ImageLaterality=side, ViewPosition=view)
    write_dicom(
        folder / "series" / "RAW", PresentationIntentType="FOR PROCESSING", ImageLaterality="L", ViewPosition="CC"
    )
    report = write_dicom(folder / "REPORT", PixelData=None, Rows=None, Columns=None, SamplesPerPixel=None)
    assert report.exists()
    (folder / "readme.txt").write_text("a page of text")
    (folder / "Thumbs.db").write_bytes(b"\0")
    (folder / "series" / ".DS_Store").write_bytes(b"\0")
    (folder / "empty.dcm").touch()
    return folder


def medium(folder: Path, names: list[str]) -> Path:
    """A DICOMDIR that lists files by their names, however they look."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MediaStorageDirectoryStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(str(folder / "DICOMDIR"), {}, file_meta=meta, preamble=b"\0" * 128)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are none
        file.DirectoryRecordSequence = [
            item(DirectoryRecordType="IMAGE", ReferencedFileID=name.split("/") if "/" in name else name)
            for name in names
        ]
    file.save_as(folder / "DICOMDIR", enforce_file_format=True)
    return folder / "DICOMDIR"


def test_a_folders_pictures_come_by_side_and_view(study: Path) -> None:
    (study / "empty.dcm").unlink()
    found = find_pictures(study)
    shown = [(each.description.laterality, each.description.view) for each in found if each.description]
    assert shown == [("R", "CC"), ("R", "MLO"), ("L", "CC"), ("L", "MLO")]
    assert [each.name for each in found] == ["series/IM1", "series/IM3", "series/IM2", "series/IM0"]


def test_what_is_named_as_a_picture_and_is_none_is_told_of(study: Path) -> None:
    (study / "scan.PNG").write_text("a page of text")
    problems = {each.name: each.problem for each in find_pictures(study) if each.problem}
    assert set(problems) == {"empty.dcm", "scan.PNG"}


def test_only_what_is_decoded_is_known_to_be_readable(tmp_path: Path) -> None:
    PIL.Image.new("L", (40, 30), 90).save(tmp_path / "grey.png")
    PIL.Image.new("RGB", (40, 30), (200, 10, 10)).save(tmp_path / "colour.png")
    whole = np.random.default_rng(0).integers(0, 256, (90, 90), dtype=np.uint8)
    PIL.Image.fromarray(whole).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:3000])
    assert all(each.problem is None for each in find_pictures(tmp_path))
    problems = {each.name: str(each.problem) for each in find_pictures(tmp_path, decode=True) if each.problem}
    assert set(problems) == {"colour.png", "cut.png"}
    assert "has colour" in problems["colour.png"]
    shown = CliRunner().invoke(app, ["pictures", str(tmp_path)])
    assert shown.exit_code == 1
    assert "colour.png: the picture has colour" in " ".join(shown.stdout.split())


def test_unusable_files_are_told_of_and_others_passed_over(study: Path) -> None:
    problems = {each.name: each.problem for each in find_pictures(study) if each.problem}
    assert list(problems) == ["empty.dcm"]
    assert "0 bytes" in str(problems["empty.dcm"])


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(ImageError, match="no picture among its 1 file"):
        find_pictures(tmp_path)


def test_a_dicomdir_by_pydicom(study: Path, tmp_path: Path) -> None:
    files = FileSet()
    for path in sorted((study / "series").glob("IM*")):
        file = write_dicom(
            path,
            PatientID="1",
            StudyInstanceUID="1.2",
            SeriesInstanceUID="1.2.3",
            StudyDate="20200101",
            StudyTime="1200",
            StudyID="1",
            Modality="MG",
            SeriesNumber=1,
            InstanceNumber=1,
        )
        files.add(file)
    files.write(tmp_path / "medium")
    found = find_pictures(tmp_path / "medium" / "DICOMDIR")
    assert len(found) == 4
    assert all(each.problem is None for each in found)
    assert is_study(tmp_path / "medium" / "DICOMDIR")


def test_media_are_shown_in_small_letters_too(study: Path) -> None:
    path = medium(study, ["SERIES/IM1", "SERIES/IM2"])
    (study / "series").rename(study / "other")
    shutil.copytree(study / "other", study / "series")
    for file in (study / "series").iterdir():
        file.rename(file.with_name(file.name.lower()))
    assert [each.problem for each in find_pictures(path)] == [None, None]


@pytest.mark.parametrize("name", ["../secret", "series/../../secret", "/etc/passwd", "..", "a\\\\b/c", "series//IM1"])
def test_a_dicomdir_that_leads_elsewhere_is_refused(study: Path, tmp_path: Path, name: str) -> None:
    write_dicom(tmp_path / "secret")
    path = medium(study, [name])
    with pytest.raises(ImageError, match="made to mislead|none of its"):
        find_pictures(path)


def test_a_link_that_leads_elsewhere_is_refused(study: Path, tmp_path: Path) -> None:
    write_dicom(tmp_path / "secret")
    (study / "LINK").symlink_to(tmp_path / "secret")
    with pytest.raises(ImageError, match="outside its folder"):
        find_pictures(medium(study, ["LINK"]))


def test_a_file_that_is_listed_and_missing(study: Path) -> None:
    found = find_pictures(medium(study, ["series/IM1", "series/GONE"]))
    assert [each.problem is None for each in found] == [True, False]
    assert "does not exist" in str(found[1].problem)


def test_views_and_sides_of_enhanced_files(tmp_path: Path) -> None:
    codes = item(CodeValue="399368009", CodingSchemeDesignator="SCT", CodeMeaning="medio-lateral oblique")
    shared = item(FrameAnatomySequence=[item(FrameLaterality="L")])
    path = write_dicom(
        tmp_path / "a", np.stack([RAMP] * 2), ViewCodeSequence=[codes], SharedFunctionalGroupsSequence=[shared]
    )
    found = describe_file(path)
    assert (found.laterality, found.view, found.frames, found.source) == ("L", "MLO", 2, "DICOM, 12 bits")


def test_the_command_lists_them(study: Path) -> None:
    result = CliRunner().invoke(app, ["pictures", str(study), "--json"])
    assert result.exit_code == 1, "one of the files is empty"
    listed = json.loads(result.stdout)
    assert [(each["laterality"], each["view"]) for each in listed[:4]] == [
        ("R", "CC"), ("R", "MLO"), ("L", "CC"), ("L", "MLO"),
    ]  # fmt: skip
    (study / "empty.dcm").unlink()
    result = CliRunner().invoke(app, ["pictures", str(study)])
    assert result.exit_code == 0
    assert "series/IM1" in result.stdout


def test_one_picture(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "a.png")
    [found] = find_pictures(tmp_path / "a.png")
    assert (found.name, found.problem) == ("a.png", None)
    assert found.description is not None
    assert (found.description.rows, found.description.columns) == (4, 6)
    assert not is_study(tmp_path / "a.png")
    with pytest.raises(ImageError, match="does not exist"):
        find_pictures(tmp_path / "none")


def test_unreadable_pictures_are_not_left_out_of_a_choice(study: Path) -> None:
    chosen = [each.name for each in find_pictures(study) if each.shows("CC", "L")]
    assert chosen == ["series/IM2", "empty.dcm"]


def test_pictures_of_a_study_are_chosen_by_side_and_view(study: Path) -> None:
    assert "unreadable" in [each.label for each in find_pictures(study)]
    (study / "empty.dcm").unlink()
    assert [path.name for path in ViewChoice().files(study)] == ["IM1", "IM3", "IM2", "IM0"]
    assert [path.name for path in ViewChoice("cc").files(study)] == ["IM1", "IM2"]
    assert ViewChoice("MLO", "l").one(study).name == "IM0"
    alone = study / "series" / "IM0"
    assert ViewChoice().files(alone) == [alone]
    for choice, path, said in (
        (ViewChoice("CC"), alone, "is one picture: `view` and `laterality` choose"),
        (ViewChoice("ML"), study, "holds no such picture; there are L CC, L MLO, R CC, R MLO"),
        (ViewChoice("CC"), study, "holds 2 such pictures, and one is needed"),
    ):
        with pytest.raises(ImageError, match=said):
            choice.one(path)
