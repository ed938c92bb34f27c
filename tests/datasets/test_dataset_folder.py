"""Pictures in folders: classes, patients, the index, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from cryptml.datasets import load_dataset
from cryptml.errors import DatasetError


def picture(path: Path, grey: int, size: tuple[int, int] = (20, 16)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("L", size, grey).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, four pictures, three patients by name."""
    picture(tmp_path / "set/normal/anna_left.png", 10)
    picture(tmp_path / "set/normal/berta.png", 20)
    picture(tmp_path / "set/tumour/anna_right.pgm", 200)
    picture(tmp_path / "set/tumour/cora_1_2.png", 210)
    return tmp_path / "set"


def test_names_give_classes_and_patients(root: Path) -> None:
    picture(root / ".hidden/x.png", 0)
    picture(root / "normal/.thumb.png", 0)
    dataset = load_dataset(f"folder:{root}", 8)
    assert dataset.name == "set"
    assert dataset.classes == ("normal", "tumour")
    assert dataset.labels.tolist() == [0, 0, 1, 1]
    assert dataset.patients == ("anna", "berta", "anna", "cora")
    np.testing.assert_allclose(dataset.images[:, 0, 0], np.array([10, 20, 200, 210]) / 255, atol=1e-6)


def test_an_index_says_otherwise(root: Path) -> None:
    (root / "index.csv").write_text(
        "file,patient,subset,remark\nnormal/anna_left.png,1,train,a\nnormal/berta.png,2,,\n"
        "tumour/anna_right.pgm,3,test,\ntumour/cora_1_2.png,1,train,\n",
        encoding="utf-8-sig",
    )
    dataset = load_dataset(f"folder:{root}", 8)
    assert dataset.patients == ("1", "2", "3", "1")
    assert [dataset.subsets[i] for i in (0, 2, 3)] == ["train", "test", "train"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("name,patient\n", "needs file and patient"),
        ("", "needs file and patient"),
        ("file,patient\nnormal/anna_left.png,1\n", "normal/berta.png is not in"),
        ("file,patient\nnormal/anna_left.png,\n", "line 2"),
        ("file,patient\nnormal/anna_left.png\n", "line 2"),
        ("file,patient\nnormal/berta.png,1\nnormal/berta.png,1\n", "second time"),
        ('file,patient\n"normal/berta.png,1\n', "CSV"),
    ],
)
def test_bad_indices(root: Path, rows: str, words: str) -> None:
    (root / "index.csv").write_text(rows)
    with pytest.raises(DatasetError, match=words):
        load_dataset(f"folder:{root}", 8)


WHOLE = "file,patient,subset\nnormal/anna_left.png,1,{}\nnormal/berta.png,2,\ntumour/anna_right.pgm,1,{}\ntumour/cora_1_2.png,3,\n"


def test_patient_in_two_subsets(root: Path) -> None:
    (root / "index.csv").write_text(WHOLE.format("train", "test"))
    with pytest.raises(DatasetError, match="patient '1'"):
        load_dataset(f"folder:{root}", 8)


def test_unknown_subset(root: Path) -> None:
    (root / "index.csv").write_text(WHOLE.format("exam", "exam"))
    with pytest.raises(DatasetError, match="'exam'"):
        load_dataset(f"folder:{root}", 8)


def test_row_without_a_picture(root: Path) -> None:
    (root / "index.csv").write_text(WHOLE.format("", "") + "../../etc/passwd,4,\n")
    with pytest.raises(DatasetError, match="not among the pictures"):
        load_dataset(f"folder:{root}", 8)


def test_index_that_is_not_text(root: Path) -> None:
    (root / "index.csv").write_bytes(b"file,patient\n\xff\xfe\xff,1\n")
    with pytest.raises(DatasetError, match="CSV"):
        load_dataset(f"folder:{root}", 8)


def test_not_a_folder(root: Path) -> None:
    with pytest.raises(DatasetError, match="not a folder"):
        load_dataset(f"folder:{root / 'normal/berta.png'}", 8)


def test_one_class(tmp_path: Path) -> None:
    picture(tmp_path / "only/a.png", 0)
    with pytest.raises(DatasetError, match="1 sub-folders"):
        load_dataset(f"folder:{tmp_path}", 8)


def test_empty_class(root: Path) -> None:
    (root / "zebra").mkdir()
    with pytest.raises(DatasetError, match=r"zebra is empty"):
        load_dataset(f"folder:{root}", 8)


def test_nested_folder(root: Path) -> None:
    (root / "normal/more").mkdir()
    with pytest.raises(DatasetError, match="inside a class folder"):
        load_dataset(f"folder:{root}", 8)


def test_unreadable_picture_is_named(root: Path) -> None:
    (root / "normal/notes.txt").write_text("hello")
    with pytest.raises(DatasetError, match=r"notes\.txt"):
        load_dataset(f"folder:{root}", 8)


def test_picture_that_is_too_small_is_named(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"anna_left\.png.*16 x 16"):
        load_dataset(f"folder:{root}", 17)
