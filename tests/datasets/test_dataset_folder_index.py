"""The index of a folder: its forms, what it may say of a picture, and all its problems at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryptml.datasets import LoadOptions, load_dataset
from cryptml.datasets.folder.index import read_index
from cryptml.errors import CryptmlError, DatasetError


def picture(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three pictures in odd places, each of its own grey with a brighter square of 10 pixels at column 12, row 4."""
    for number, name in enumerate(("a.png", "deep/er/b.png", "deep/c.png")):
        pixels = np.full((20, 30), 40 * (number + 1))
        pixels[4:14, 12:22] += 50
        picture(tmp_path / "set" / name, pixels)
    return tmp_path / "set"


ROWS = "file,patient,label\na.png,1,ill\ndeep/er/b.png,2,well\ndeep/c.png,1,well\n"


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_labels_from_the_index(root: Path, separator: str, encoding: str, ending: str) -> None:
    text = ROWS.replace(",", separator).replace("\n", ending)
    (root / "index.csv").write_bytes(text.encode(encoding))
    dataset = load_dataset(f"folder:{root}", 8)
    assert dataset.classes == ("ill", "well")
    assert dict(zip([each.file for each in dataset.sources], dataset.labels.tolist(), strict=True)) == {
        "a.png": 0,
        "deep/c.png": 1,
        "deep/er/b.png": 1,
    }
    assert dataset.patients == ("1", "1", "2")
    assert dataset.patients_known


def test_every_column(root: Path) -> None:
    (root / "index.csv").write_text(
        "\ufeffFile; LABEL;subset;view;laterality;roi_x;roi_y;roi_size;remark\na.png;x;train;CC;left;12;4;10;none\n"
        "deep\\er\\b.png;y;VALIDATION;MLO;R;;;;\n./deep/c.png;x;test;;;0;0;20;\n\n;;;;;;;;\n"
    )
    dataset = load_dataset(f"folder:{root}", 10)
    assert dataset.subsets == ("train", "test", "validation")
    assert [(each.view, each.laterality) for each in dataset.sources] == [("CC", "L"), ("", ""), ("MLO", "R")]
    assert not dataset.patients_known
    np.testing.assert_allclose(dataset.images[0], 90 / 255, atol=1e-6)
    assert dataset.images[1].min() < dataset.images[1].max()


def test_an_index_of_subsets_beside_class_folders(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for name in ("p/1.png", "p/2.png", "q/3.png"):
        picture(tmp_path / name, random.integers(0, 255, (8, 8)))
    (tmp_path / "index.csv").write_text("file,subset\np/1.png,test\np/2.png,\nq/3.png,train\n")
    dataset = load_dataset(f"folder:{tmp_path}", 8)
    assert dataset.classes == ("p", "q")
    assert (dataset.subsets[0], dataset.subsets[2]) == ("test", "train")


def test_a_patient_without_a_subset_follows_the_others_of_that_patient(root: Path) -> None:
    (root / "index.csv").write_text("file,patient,label,subset\na.png,1,u,test\ndeep/c.png,1,v,\ndeep/er/b.png,2,v,\n")
    assert load_dataset(f"folder:{root}", 8).subsets[:2] == ("test", "test")


def test_patients_in_two_subsets_are_named(root: Path) -> None:
    (root / "index.csv").write_text(
        "file,patient,label,subset\na.png,1,u,test\ndeep/c.png,1,v,train\ndeep/er/b.png,2,v,\n"
    )
    with pytest.raises(DatasetError, match="has 1 problem: patient '1' is in the subsets test and train"):
        load_dataset(f"folder:{root}", 8)


def test_patients_of_names_in_two_subsets_are_named(tmp_path: Path) -> None:
    for number, name in enumerate(("p/1_a.png", "q/1_b.png", "q/2_a.png")):
        picture(tmp_path / name, np.full((8, 8), number))
    (tmp_path / "index.csv").write_text("file,subset\np/1_a.png,test\nq/1_b.png,train\nq/2_a.png,\n")
    with pytest.raises(DatasetError, match="1 patients into more than one subset: patient '1'"):
        load_dataset(f"folder:{tmp_path}", 8, LoadOptions(patients_from_name="^([0-9])_"))


def test_an_index_and_an_expression_for_patients_are_one_too_many(root: Path) -> None:
    (root / "index.csv").write_text(ROWS)
    with pytest.raises(DatasetError, match="leave one of them out"):
        load_dataset(f"folder:{root}", 8, LoadOptions(patients_from_name="(.)"))


class TestMasks:
    def index(self, root: Path, mask: np.ndarray) -> None:
        picture(root / "masks/a.png", mask)
        (root / "index.csv").write_text("file,label,mask\na.png,u,masks/a.png\ndeep/c.png,v,\ndeep/er/b.png,v,\n")

    def test_the_square_around_what_is_shown(self, root: Path) -> None:
        mask = np.zeros((20, 30))
        mask[4:14, 12], mask[9, 12:22] = 255, 1
        self.index(root, mask)
        dataset = load_dataset(f"folder:{root}", 8)
        assert len(dataset) == 3
        np.testing.assert_allclose(dataset.images[0], 90 / 255, atol=1e-6)

    @pytest.mark.parametrize(("row", "column"), [(0, 0), (19, 29), (10, 15)])
    def test_a_small_one_is_widened_to_the_networks_side_inside_the_picture(
        self, root: Path, row: int, column: int
    ) -> None:
        mask = np.zeros((20, 30))
        mask[row, column] = 255
        self.index(root, mask)
        assert len(load_dataset(f"folder:{root}", 16)) == 3

    @pytest.mark.parametrize(
        ("mask", "words"),
        [(np.zeros((20, 30)), "a.png: its mask is black"), (np.ones((20, 20)), "20 columns x 20 rows where")],
    )
    def test_unusable(self, root: Path, mask: np.ndarray, words: str) -> None:
        self.index(root, mask)
        with pytest.raises(DatasetError, match=words):
            load_dataset(f"folder:{root}", 8)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the columns none; it needs the column file"),
        ("name,patient\n", "the columns name, patient; it needs the column file"),
        ("file,label,label\n", "the column label twice"),
        ("file;pateint;label;subest\n", "the column 'pateint', which would be passed over; call it patient"),
        ("file;klasse;patient\n", "the column 'klasse', which would be passed over; call it label"),
        ("file,class\n", "the column 'class', which would be passed over; call it label"),
        ("file,label,side\n", "the column 'side', which would be passed over; call it laterality"),
        ("file,label,patient id\n", "the column 'patient id', which would be passed over; call it patient"),
        ("file,labels\n", "the column 'labels', .* call it label"),
        ("file,label\n", "3 problems: the picture a.png has no line"),
        ('file,label\n"a.png,u\n', "CSV table"),
        ("file,label\na.png,u\ndeep/c.png,u\ndeep/er/b.png,u\n", "the label 'u' only"),
        ("file,label\na.png,u\na.png,v\n", "line 3 names a.png a second time"),
        ("file,label\na.png,u,v\n", "line 2 has 3 fields for 2 columns"),
        ("file,label\na.png\n", "line 2 lacks a label"),
        ("file,label,patient\na.png,u,\n", "line 2 lacks a patient"),
        ("file,label,subset\na.png,u,exam\n", "line 2 has the subset 'exam', which is none of train, validation, test"),
        ("file,label,laterality\na.png,u,both\n", "line 2 has the laterality 'both'"),
        ("file,label,roi_x,roi_y,roi_size\na.png,u,1,,3\n", "line 2 has the region 1, nothing, 3"),
        ("file,label,roi_x,roi_y,roi_size\na.png,u,1,2,0\n", "line 2 has the region 1, 2, 0"),
        ("file,label,roi_x,roi_y,roi_size,mask\na.png,u,1,2,3,a.png\n", "line 2 has both a region and a mask"),
        ("file,label,mask\na.png,u,none.png\n", "line 2: the mask 'none.png' does not exist"),
        ("file,label,mask\na.png,u,deep/c.png\ndeep/c.png,u,\n", "line 3 names deep/c.png, which is a mask"),
        ("file,label\n/etc/passwd,u\n", "line 2: the file '/etc/passwd' is not a path below the folder"),
        ("file,label\nC:\\a.png,u\n", "not a path below the folder"),
        ("file,label\n../set/a.png,u\n", "line 2: the file '../set/a.png' is not a path below the folder"),
        ("file,label\ndeep,u\n", "'deep' does not exist"),
        ("file,label\nnone.png,u\n", "line 2: the file 'none.png' does not exist"),
        (f"file,label\n{'n' * 5000},u\n", "cannot be looked up|does not exist"),
        (f"file,label\na.png,{'u' * 101}\n", "label that is longer than 100"),
        ("file,label\nout.png,u\n", "'out.png' is a link that leads out of the folder"),
    ],
)
def test_problems_of_an_index(root: Path, text: str, words: str) -> None:
    if "out.png" in text:
        picture(root.parent / "outside.png", np.zeros((20, 20)))
        (root / "out.png").symlink_to(root.parent / "outside.png")
    (root / "index.csv").write_text(text)
    with pytest.raises(DatasetError, match=words):
        load_dataset(f"folder:{root}", 8)


def test_all_problems_are_told_at_once_and_counted(root: Path) -> None:
    lines = [f"none{number}.png,u,train" for number in range(30)]
    (root / "index.csv").write_text("\n".join(["file,label,subset", "a.png,,exam", *lines]))
    with pytest.raises(
        DatasetError,
        match=r"has 34 problems: line 2 lacks a label; line 2 has the subset 'exam'.*; and 14 more; correct",
    ):
        load_dataset(f"folder:{root}", 8)


@pytest.mark.parametrize("data", [b"file,label\n\xff\xfe,1\n", "file,label\n".encode("utf-16")])
def test_an_index_that_is_no_text(root: Path, data: bytes) -> None:
    (root / "index.csv").write_bytes(data)
    with pytest.raises(DatasetError, match="save it as CSV in UTF-8"):
        load_dataset(f"folder:{root}", 8)


def test_an_index_that_is_no_file(root: Path) -> None:
    (root / "index.csv").mkdir()
    with pytest.raises(DatasetError, match="not a plain file"):
        load_dataset(f"folder:{root}", 8)


def test_a_picture_of_the_folder_that_the_index_forgot(root: Path) -> None:
    (root / "README.txt").write_text("not a picture, and no problem")
    (root / "index.csv").write_text(ROWS.replace("a.png,1,ill\n", ""))
    with pytest.raises(DatasetError, match=r"has 1 problem: the picture a\.png has no line"):
        load_dataset(f"folder:{root}", 8)


def test_a_picture_outside_the_class_folders(tmp_path: Path) -> None:
    for name in ("p/1.png", "q/2.png", "loose.png"):
        picture(tmp_path / name, np.zeros((8, 8)))
    (tmp_path / "index.csv").write_text("file\np/1.png\nq/2.png\nloose.png\n")
    with pytest.raises(DatasetError, match=r"line 4 names loose\.png, which lies in no class folder"):
        load_dataset(f"folder:{tmp_path}", 8)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.lists(
            st.one_of(
                st.sampled_from(["a.png", "deep/c.png", "..", "", "train", "1", "9", "L", "index.csv", "."]),
                st.text(max_size=6),
            ),
            max_size=9,
        ),
        max_size=4,
    ),
    separator=st.sampled_from(",;"),
)
def test_whatever_an_index_says_it_is_taken_or_refused_in_one_sentence(
    root: Path, rows: list[list[str]], separator: str
) -> None:
    heading = ["file", "label", "subset", "laterality", "roi_x", "roi_y", "roi_size", "mask"]
    text = "\n".join(separator.join(row) for row in [heading, *rows])
    (root / "index.csv").write_bytes(text.encode(errors="surrogatepass"))
    try:
        load_dataset(f"folder:{root}", 8)
    except CryptmlError as error:
        assert len(str(error).splitlines()) == 1


class TestFrames:
    def index(self, root: Path, frame: str) -> None:
        pages = [PIL.Image.fromarray(np.full((20, 20), grey, np.uint8)) for grey in (10, 20, 30)]
        for name in ("a", "b"):
            pages[0].save(root / f"{name}.tif", save_all=True, append_images=pages[1:])
        (root / "index.csv").write_text(f"file,label,frame\na.tif,u,{frame}\nb.tif,v,1\n")

    @pytest.mark.parametrize(("frame", "grey"), [("2", 20), ("max", 30), ("max:1-2", 20)])
    def test_a_line_chooses_a_frame(self, tmp_path: Path, frame: str, grey: int) -> None:
        self.index(tmp_path, frame)
        images = load_dataset(f"folder:{tmp_path}", 20).images
        np.testing.assert_allclose(images.max(axis=(1, 2)), [grey / 255, 10 / 255], atol=1e-6)

    @pytest.mark.parametrize(
        ("frame", "words"), [("all", "a line is one picture"), ("0", "line 2 has a frame"), ("9", "holds 3 frames")]
    )
    def test_what_is_no_frame_is_named(self, tmp_path: Path, frame: str, words: str) -> None:
        self.index(tmp_path, frame)
        with pytest.raises(DatasetError, match=words):
            load_dataset(f"folder:{tmp_path}", 20)

    def test_without_one_such_a_file_is_refused(self, tmp_path: Path) -> None:
        self.index(tmp_path, "")
        with pytest.raises(DatasetError, match="a.tif.*3 frames, and none was chosen"):
            load_dataset(f"folder:{tmp_path}", 20)


@pytest.mark.parametrize("name", ["Index.csv", "INDEX.CSV"])
def test_an_index_by_another_name_is_not_passed_over(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "a/1.png", np.zeros((20, 20)))
    picture(tmp_path / "b/1.png", np.ones((20, 20)))
    (tmp_path / name).write_text("file,patient\na/1.png,1\nb/1.png,2\n")
    with pytest.raises(DatasetError, match="call it index.csv"):
        load_dataset(f"folder:{tmp_path}", 20)


def test_copies_of_a_picture_are_on_one_side_of_every_fold(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = ["file,subset"]
    for label in ("a", "b"):
        for number in range(10):
            values = random.integers(0, 256, (16, 16))
            for copy in ("", "copy"):
                picture(tmp_path / label / f"{copy}{number}.png", values)
                rows.append(f"{label}/{copy}{number}.png,{'test' if number < 2 else 'train'}")
    (tmp_path / "index.csv").write_text("\n".join(rows))
    data = load_dataset(f"folder:{tmp_path}", 8)
    assert data.unit == "picture"
    for learned, judged in data.folds(5):
        assert not {data.images[place].tobytes() for place in learned} & {
            data.images[place].tobytes() for place in judged
        }


@pytest.mark.parametrize(
    "text",
    [
        "file;label\na.png;x\n",
        "sep=;\nfile;label\na.png;x\n",
        '"sep=;"\r\nfile;label\r\na.png;x\r\n',
        "file\tlabel\na.png\tx\n",
    ],
)
def test_other_separators_than_commas_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "index.csv").write_bytes(text.encode())
    index = read_index(tmp_path / "index.csv")
    assert (index.problems, [row.label for row in index.rows.values()]) == ((), ["x"])


def test_lines_with_another_separator_than_the_heading_are_said_to_have_it(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "index.csv").write_text("file,label\na.png;x\n")
    assert read_index(tmp_path / "index.csv").problems == ("line 2 has semicolons where the heading has commas",)
