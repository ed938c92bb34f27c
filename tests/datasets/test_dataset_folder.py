"""Pictures in folders: classes, patients, subsets, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from cryptml.datasets import LoadOptions, load_dataset
from cryptml.datasets.folder.loading import load
from cryptml.errors import DatasetError

GREY = np.random.default_rng(0)


def picture(path: Path, grey: int, size: tuple[int, int] = (20, 16)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("L", size, grey).save(path)


def noise(path: Path, side: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(GREY.integers(0, 256, (side, side), dtype=np.uint8)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, four pictures, three patients by name."""
    picture(tmp_path / "set/normal/anna_left.png", 10)
    picture(tmp_path / "set/normal/berta.png", 20)
    picture(tmp_path / "set/tumour/anna_right.pgm", 200)
    picture(tmp_path / "set/tumour/cora_1_2.png", 210)
    return tmp_path / "set"


def test_sub_folders_are_classes_and_patients_are_not_guessed(root: Path) -> None:
    dataset = load_dataset(f"folder:{root}", 8)
    assert dataset.name == "set"
    assert dataset.classes == ("normal", "tumour")
    assert dataset.positive_class == "tumour"
    assert dataset.labels.tolist() == [0, 0, 1, 1]
    assert (dataset.patients_known, dataset.unit) == (False, "picture")
    assert dataset.patients == (
        "normal/anna_left.png",
        "normal/berta.png",
        "tumour/anna_right.pgm",
        "tumour/cora_1_2.png",
    )
    assert [(each.file, each.columns, each.rows) for each in dataset.sources[:1]] == [("normal/anna_left.png", 20, 16)]
    np.testing.assert_allclose(dataset.images[:, 0, 0], np.array([10, 20, 200, 210]) / 255, atol=1e-6)


def test_pictures_that_are_numbered_are_not_of_one_patient(tmp_path: Path) -> None:
    for number in range(12):
        noise(tmp_path / ("one" if number % 2 else "two") / f"IMG_{number:04d}.png")
    dataset = load_dataset(f"folder:{tmp_path}", 8)
    assert len(set(dataset.patients)) == 12
    assert set(dataset.subsets) == {"train", "validation", "test"}


def test_patients_are_found_in_names_where_the_user_says_how(root: Path) -> None:
    dataset = load_dataset(f"folder:{root}", 8, LoadOptions(patients_from_name=r"^([a-z]+)[_.]"))
    assert dataset.patients == ("anna", "berta", "anna", "cora")
    assert (dataset.patients_known, dataset.unit) == (True, "patient")
    assert dataset.subsets[0] == dataset.subsets[2]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("^(a[a-z]*)_", r"2 of 4 pictures.*normal/berta\.png; tumour/cora_1_2\.png"),
        ("^()", "4 of 4"),
        ("anna", "no group"),
        ("(", "no regular expression"),
    ],
)
def test_expressions_that_find_no_patient(root: Path, expression: str, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        load_dataset(f"folder:{root}", 8, LoadOptions(patients_from_name=expression))


def test_sets_that_know_their_patients_take_no_expression() -> None:
    with pytest.raises(DatasetError, match="phantom says itself whose"):
        load_dataset("phantom", 8, LoadOptions(patients_from_name="(a)"))


def test_files_of_operating_systems_are_passed_over(root: Path) -> None:
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", ".thumb.png"):
        (root / "normal" / name).write_text("none of yours")
        (root / name).write_text("none of yours")
    for name in (".hidden", "__MACOSX"):
        picture(root / name / "x.png", 0)
        picture(root / "normal" / name / "x.png", 0)
    assert len(load_dataset(f"folder:{root}", 8)) == 4


def test_unusable_pictures_are_named_all_at_once(root: Path) -> None:
    (root / "normal/notes.txt").write_text("hello")
    (root / "tumour/empty.png").touch()
    picture(root / "tumour/small.png", 9, (7, 30))
    with pytest.raises(
        DatasetError, match=r"3 of 7 pictures of .*normal/notes\.txt.*tumour/empty\.png.*tumour/small\.png.*7 x 7"
    ):
        load_dataset(f"folder:{root}", 8)


def test_many_unusable_pictures_are_counted(tmp_path: Path) -> None:
    noise(tmp_path / "a/good.png")
    for number in range(60):
        (tmp_path / "b").mkdir(exist_ok=True)
        (tmp_path / "b" / f"{number:03d}.png").write_text("none")
    with pytest.raises(DatasetError, match=r"60 of 61 pictures.*b/000\.png.*and \d+ more; give .*; mend") as raised:
        load_dataset(f"folder:{tmp_path}", 8)
    assert "b/059.png" not in str(raised.value)


def test_the_progress_is_told(root: Path) -> None:
    heard: list[tuple[int, int]] = []
    load_dataset(f"folder:{root}", 8, LoadOptions(progress=lambda done, total: heard.append((done, total))))
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_more_pictures_than_are_read_at_once_keep_their_order(tmp_path: Path) -> None:
    for number in range(250):
        picture(tmp_path / str(number % 2) / f"{number:03}.png", number)
    dataset = load_dataset(f"folder:{tmp_path}", 8)
    assert dataset.images[:, 0, 0] == pytest.approx([number / 255 for number in (*range(0, 250, 2), *range(1, 250, 2))])


def test_not_a_folder(root: Path) -> None:
    with pytest.raises(DatasetError, match="not a folder"):
        load_dataset(f"folder:{root / 'normal/berta.png'}", 8)


def test_one_class(tmp_path: Path) -> None:
    picture(tmp_path / "only/a.png", 0)
    with pytest.raises(DatasetError, match="1 sub-folders"):
        load_dataset(f"folder:{tmp_path}", 8)


def test_empty_class(root: Path) -> None:
    (root / "zebra").mkdir()
    (root / "zebra/.DS_Store").touch()
    with pytest.raises(DatasetError, match=r"zebra is empty"):
        load_dataset(f"folder:{root}", 8)


def test_nested_folder(root: Path) -> None:
    (root / "normal/more").mkdir()
    with pytest.raises(DatasetError, match="inside a class folder"):
        load_dataset(f"folder:{root}", 8)


def test_a_class_that_could_not_be_stored_is_refused_before_anything_is_read(root: Path) -> None:
    (root / ("x" * 101)).mkdir()
    with pytest.raises(DatasetError, match="cannot name a class"):
        load_dataset(f"folder:{root}", 8)


def test_more_values_than_are_held_at_once(root: Path) -> None:
    with pytest.raises(DatasetError, match="choose a side of at most 8"):
        load(root, 16, most_values=300)


class TestDuplicates:
    def test_across_subsets_by_the_bytes_of_files(self, root: Path) -> None:
        (root / "tumour/copy.pgm").write_bytes((root / "tumour/anna_right.pgm").read_bytes())
        (root / "index.csv").write_text(
            "file,patient,subset,roi_x,roi_y,roi_size\nnormal/anna_left.png,1,train,,,\nnormal/berta.png,2,train,,,\n"
            "tumour/anna_right.pgm,3,train,,,\ntumour/cora_1_2.png,4,train,,,\ntumour/copy.pgm,5,test,0,0,9\n"
        )
        with pytest.raises(
            DatasetError,
            match=r"1 picture in more than one subset: tumour/anna_right\.pgm \(train, patient 3\) = tumour/copy\.pgm \(test, patient 5\)",
        ):
            load_dataset(f"folder:{root}", 8)

    def test_across_subsets_by_pixels(self, root: Path) -> None:
        PIL.Image.open(root / "tumour/anna_right.pgm").save(root / "normal/saved_again.png")
        PIL.Image.open(root / "tumour/cora_1_2.png").save(root / "normal/other.pgm")
        (root / "index.csv").write_text(
            "file,subset\nnormal/anna_left.png,train\nnormal/berta.png,train\ntumour/anna_right.pgm,train\n"
            "tumour/cora_1_2.png,validation\nnormal/saved_again.png,test\nnormal/other.pgm,test\n"
        )
        with pytest.raises(
            DatasetError, match=r"2 pictures in more than one.*\(test, normal\) = .*\(validation, tumour\)"
        ):
            load_dataset(f"folder:{root}", 8)

    def test_within_a_subset_they_are_no_error(self, root: Path) -> None:
        picture(root / "tumour/again.png", 210)
        (root / "index.csv").write_text(
            "file,subset\nnormal/anna_left.png,train\nnormal/berta.png,train\ntumour/anna_right.pgm,test\n"
            "tumour/cora_1_2.png,train\ntumour/again.png,train\n"
        )
        assert len(load_dataset(f"folder:{root}", 8)) == 5


def test_links_in_class_folders_are_followed(root: Path, tmp_path: Path) -> None:
    """Without an index nothing is named by a document that may come from elsewhere."""
    noise(tmp_path / "elsewhere.png")
    (root / "normal/link.png").symlink_to(tmp_path / "elsewhere.png")
    assert len(load_dataset(f"folder:{root}", 8)) == 5
