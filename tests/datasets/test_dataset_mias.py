"""mini-MIAS: every trap of its index, on films made here; the real set where the environment names it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from cryptml.datasets import load_dataset
from cryptml.errors import DatasetError

INFO = """      MINI DATABASE

mdb names in prose do not count, nor do notes: y is counted from the bottom.

mdb001 G CIRC B 400 724 50
mdb002 D NORM
mdb003 F CALC M *NOTE 3*
mdb004 F CIRC B
mdb005 F CIRC B 300 500 30
mdb005 F SPIC M 420 624 26
mdb006 F NORM
mdb007 G NORM
mdb008 G ARCH M 1000 1000 20
mdb009 G CALC B 210 524 9
mdb010 G CALC B 500 2 3
"""
INFO = INFO.replace("mdb names", "The mdb names")
TISSUE = 120


def film(path: Path, spots: tuple[tuple[int, int], ...] = (), side: str = "left") -> None:
    """A breast as half an ellipse at the chest wall, column 200 from the left (or right), with bright spots."""
    rows, columns = np.mgrid[:1024, :1024]
    inside = (columns >= 200) & (((columns - 200) / 500) ** 2 + ((rows - 512) / 450) ** 2 < 1)
    values = np.where(inside, TISSUE, 12).astype(np.uint8)
    values[:, :200] = 0
    for column, row in spots:
        values[row - 2 : row + 2, column - 2 : column + 2] = 250
    if side == "right":
        values = values[:, ::-1]
    PIL.Image.fromarray(np.ascontiguousarray(values)).save(path)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films 1 to 5 and 7 to 10 of the index, and one that the index does not know."""
    path = tmp_path_factory.mktemp("mias")
    (path / "Info.txt").write_text(INFO)
    film(path / "mdb001.png", ((400, 300),))
    film(path / "mdb002.pgm", side="right")
    film(path / "mdb003.png")
    film(path / "mdb004.png")
    film(path / "mdb005.png", ((300, 524), (420, 400)))
    film(path / "mdb007.png")
    film(path / "mdb008.png")
    film(path / "mdb009.png", ((210, 500),))
    film(path / "mdb010.png")
    film(path / "mdb011.png")
    return path


def test_what_gives_a_region(root: Path) -> None:
    dataset = load_dataset(f"mias:{root}", 128)
    assert dataset.name == "mias"
    assert dataset.classes == ("normal", "abnormal")
    by_woman = list(zip(dataset.patients, dataset.labels.tolist(), strict=True))
    # Film 3 and 4 have no coordinates, 6 is absent, the lesions of 8 and 10 lie outside the breast, 11 is not listed.
    assert by_woman == [
        ("mias-woman-001", 1),
        ("mias-woman-001", 0),
        ("mias-woman-001", 0),
        ("mias-woman-003", 1),
        ("mias-woman-003", 1),
        ("mias-woman-004", 0),
        ("mias-woman-004", 0),
        ("mias-woman-005", 1),
    ]
    assert dataset.images.shape == (8, 128, 128)


def test_lesions_are_centred_with_y_from_the_bottom(root: Path) -> None:
    dataset = load_dataset(f"mias:{root}", 128)
    for index in (0, 3, 4):
        lesion = np.argwhere(dataset.images[index] > 0.9)
        assert lesion.mean(axis=0) == pytest.approx([63.5, 63.5], abs=0.01)


def test_a_lesion_at_the_chest_wall_is_shifted_off_the_black_strip(root: Path) -> None:
    image = load_dataset(f"mias:{root}", 128).images[7]
    assert image.min() == pytest.approx(TISSUE / 255, abs=1e-6)
    assert np.argwhere(image > 0.9).mean(axis=0) == pytest.approx([63.5, 9.5], abs=0.01)


def test_normal_regions_are_tissue_and_always_the_same(root: Path) -> None:
    one, two = (load_dataset(f"mias:{root}", 32) for _ in range(2))
    np.testing.assert_array_equal(one.images, two.images)
    normal = one.images[one.labels == 0]
    assert (normal > 0.4).mean(axis=(1, 2)).min() >= 0.9


def test_the_corner_of_the_pectoral_muscle_is_left_out(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:1024, :1024]
    inside = (columns >= 200) & (((columns - 200) / 500) ** 2 + (np.maximum(rows - 300, 0) / 600) ** 2 < 1)
    values = np.where(inside, TISSUE, 12).astype(np.uint8)
    values[inside & (columns - 200 + rows < 190)] = 255
    lines = []
    for number in range(1, 21):
        mirrored = number % 2 == 0
        PIL.Image.fromarray(np.ascontiguousarray(values[:, ::-1] if mirrored else values)).save(
            tmp_path / f"mdb{number:03d}.png", compress_level=1
        )
        lines.append(f"mdb{number:03d} G NORM")
    film(tmp_path / "mdb021.png")
    lines.append("mdb021 G CIRC B 400 524 20")
    (tmp_path / "Info.txt").write_text("\n".join(lines))
    dataset = load_dataset(f"mias:{tmp_path}", 16)
    assert np.bincount(dataset.labels).tolist() == [40, 1]
    assert dataset.images.max() == pytest.approx(TISSUE / 255, abs=1e-6)


def test_films_without_a_breast_give_nothing(tmp_path: Path) -> None:
    (tmp_path / "Info.txt").write_text("mdb001 G NORM\nmdb002 G CIRC B 500 500 9\nmdb003 G NORM\n")
    for number in (1, 2):
        PIL.Image.new("L", (1024, 1024)).save(tmp_path / f"mdb{number:03d}.png")
    values = np.zeros((1024, 1024), np.uint8)
    values[100:180, 100:900] = 99
    PIL.Image.fromarray(values).save(tmp_path / "mdb003.png")
    with pytest.raises(DatasetError, match="no usable film"):
        load_dataset(f"mias:{tmp_path}", 32)


def test_a_breast_with_room_for_one_region_gives_one(tmp_path: Path) -> None:
    (tmp_path / "Info.txt").write_text("mdb001 G NORM\nmdb002 G CIRC B 400 524 9\n")
    values = np.zeros((1024, 1024), np.uint8)
    values[300:340, 300:430] = 99
    values[490:640, 300:430] = 99
    PIL.Image.fromarray(values).save(tmp_path / "mdb001.png")
    film(tmp_path / "mdb002.png")
    assert load_dataset(f"mias:{tmp_path}", 32).labels.tolist() == [0, 1]


@pytest.mark.parametrize("row", ["mdb001", "mdb001 X NORM", "mdb001 G LUMP B 1 2 3", "mdb1 G NORM"])
def test_malformed_rows_are_named(tmp_path: Path, row: str) -> None:
    (tmp_path / "Info.txt").write_text(f"prose\n{row}\n")
    with pytest.raises(DatasetError, match="line 2"):
        load_dataset(f"mias:{tmp_path}", 32)


def test_impossible_coordinates(tmp_path: Path) -> None:
    (tmp_path / "Info.txt").write_text("mdb001 G CIRC B 1025 5 9\n")
    with pytest.raises(DatasetError, match="1025, 5"):
        load_dataset(f"mias:{tmp_path}", 32)


def test_no_index(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"Info\.txt"):
        load_dataset(f"mias:{tmp_path}", 32)


def test_no_films(tmp_path: Path) -> None:
    (tmp_path / "Info.txt").write_text(INFO)
    with pytest.raises(DatasetError, match="no usable film"):
        load_dataset(f"mias:{tmp_path}", 32)


def test_film_of_another_size(tmp_path: Path) -> None:
    (tmp_path / "Info.txt").write_text("mdb001 G NORM\n")
    PIL.Image.new("L", (1024, 512)).save(tmp_path / "mdb001.png")
    with pytest.raises(DatasetError, match="1024 columns x 512 rows"):
        load_dataset(f"mias:{tmp_path}", 32)


def test_damaged_film(tmp_path: Path) -> None:
    (tmp_path / "Info.txt").write_text("mdb001 G NORM\n")
    (tmp_path / "mdb001.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DatasetError, match=r"mdb001\.png"):
        load_dataset(f"mias:{tmp_path}", 32)


def test_side_over_the_region(root: Path) -> None:
    with pytest.raises(DatasetError, match="128"):
        load_dataset(f"mias:{root}", 129)


@pytest.mark.skipif("CRYPTML_MIAS" not in os.environ, reason="set CRYPTML_MIAS to the folder of the real mini-MIAS set")
def test_the_real_set() -> None:
    dataset = load_dataset(f"mias:{os.environ['CRYPTML_MIAS']}", 128)
    normal, abnormal = (dataset.images[dataset.labels == label] for label in (0, 1))
    assert len(normal) > len(abnormal) > 80
    dark = [(images <= 40 / 255).mean(axis=(1, 2)) for images in (normal, abnormal)]
    assert all(share.max() < 0.2 and share.mean() < 0.02 for share in dark)
    # The share of background alone must not tell the classes apart: the area under its curve stays near one half.
    above = (dark[1][:, None] > dark[0]).mean() + 0.5 * (dark[1][:, None] == dark[0]).mean()
    assert above == pytest.approx(0.5, abs=0.1)
