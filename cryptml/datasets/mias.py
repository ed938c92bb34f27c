"""mini-MIAS: regions of 128 pixels from films, with an abnormality or of normal tissue.

Suckling et al., "The Mammographic Image Analysis Society digital mammogram database", Excerpta Medica International
Congress Series 1069, 1994. Research use only; the licence comes with the set. Films have 1024 x 1024 pixels of
0.2 mm, 8 bits; film 2k - 1 and film 2k are the breasts of one woman.

``Info.txt`` is read with these rules, each of which a naive reader gets wrong:

- A lesion's second coordinate counts from the bottom edge: its row is 1024 - y.
- An abnormal film may have no coordinates. It gives no region, and it is no source of normal tissue either.
- A film may have several rows: each lesion gives a region of the same patient.
- A lesion whose coordinates lie on the dark film outside the breast gives no region: they are wrong.
- Rows without a film are skipped, and so are films without a row.

A square that reached over the chest wall would show the black strip where the film ends. Only lesions near the wall
would have it, so every square, of either class, is shifted to lie inside the columns and rows that the breast spans.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cryptml.datasets.base import Dataset
from cryptml.datasets.subsets import assign_subsets
from cryptml.errors import DatasetError, ImageError
from cryptml.images import Image, Region, crop, load_image

CLASSES = ("normal", "abnormal")
FILM_SIDE = 1024
"""Rows and columns of a film."""

REGION_SIDE = 128
"""Side of a region, in pixels of the film (25.6 mm)."""

NORMAL_REGIONS = 2
"""Regions taken from a film of normal tissue."""

_TISSUE = 40 / 255
"""Grey level above which a pixel shows tissue: the film's background lies below 25 of 255, fatty tissue above 60."""

_LEAST_TISSUE = 0.95
"""Share of a normal region that shows tissue at least; with it, background is as frequent as in abnormal regions."""

_STEP = 16
"""Distance of the positions that are tried for a normal region, in pixels."""

_PECTORAL_REACH = 0.6
"""Share of the way to the nipple, and down, that the corner of the pectoral muscle reaches."""

_ROW = re.compile(r"mdb(?P<film>\d{3})\s+[FGD]\s+(?P<kind>CALC|CIRC|SPIC|MISC|ARCH|ASYM|NORM)\b(?P<rest>.*)")
_REST = re.compile(r"\s+[BM]\s+(?P<x>\d{1,4})\s+(?P<y>\d{1,4})(\s+\d{1,4})?\s*")


@dataclass(frozen=True)
class _Film:
    """What ``Info.txt`` says of one film: the (column, row) of each lesion, and whether all of it is normal."""

    number: int
    normal: bool
    lesions: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Frame:
    """The rows and columns that a breast spans, ends excluded, and the side on which it meets the chest."""

    top: int
    bottom: int
    left: int
    right: int
    chest_left: bool


def load(path: Path, side: int) -> Dataset:
    """Cut regions out of every film of a folder.

    Abnormal regions are centred on the lesion. Normal ones lie at positions that the film's name decides, where nearly
    all is tissue and outside the corner of the pectoral muscle; two a film, of films that are normal throughout.

    Args:
        path: A folder with ``Info.txt`` and ``mdbNNN.png`` or ``mdbNNN.pgm`` files.
        side: Side of the result in pixels, up to 128; by area averaging.

    Raises:
        DatasetError: If the folder has no ``Info.txt``, no film of it, a malformed row, or an unreadable film.
    """
    if not 1 <= side <= REGION_SIDE:
        raise DatasetError(f"regions of mini-MIAS have {REGION_SIDE} pixels and cannot give {side}; choose up to that")
    images: list[npt.NDArray[np.float32]] = []
    labels: list[int] = []
    patients: list[str] = []
    for film in _read_info(path / "Info.txt"):
        file = _film_file(path, film.number)
        if file is None or not (film.normal or film.lesions):
            continue
        picture = _read_film(file)
        for region in _normal_regions(picture, film) if film.normal else _lesion_regions(picture, film):
            images.append(crop(picture, region, side))
            labels.append(int(not film.normal))
            patients.append(f"mias-woman-{(film.number + 1) // 2:03d}")
    if not images:
        raise DatasetError(f"{path} holds no usable film; it needs the mdbNNN.png or mdbNNN.pgm files of its Info.txt")
    return Dataset(
        "mias", np.stack(images), np.array(labels, np.int64), tuple(patients), CLASSES, assign_subsets(patients)
    )


def _read_info(file: Path) -> list[_Film]:
    """All films that ``Info.txt`` lists, by number; everything but rows that begin with ``mdb`` is prose."""
    try:
        lines = file.read_text(encoding="latin-1").splitlines()
    except OSError as error:
        raise DatasetError(f"{file} cannot be read ({error}); give the folder of mini-MIAS that holds it") from error
    rows: dict[int, list[tuple[int, int] | str]] = {}
    for count, line in enumerate(lines, 1):
        if not line.startswith("mdb"):
            continue
        match = _ROW.fullmatch(line.rstrip())
        if match is None:
            raise DatasetError(f"line {count} of {file} is not a film's row: {line[:60]!r}; restore the original file")
        kind: tuple[int, int] | str = "normal" if match["kind"] == "NORM" else "abnormal"
        place = _REST.fullmatch(match["rest"])
        if kind == "abnormal" and place is not None:
            kind = int(place["x"]), FILM_SIDE - int(place["y"])
            if not (0 <= kind[0] <= FILM_SIDE and 0 <= kind[1] <= FILM_SIDE):
                raise DatasetError(
                    f"line {count} of {file} places a lesion at {place['x']}, {place['y']}, outside 0 to {FILM_SIDE}; "
                    "restore the original file"
                )
        rows.setdefault(int(match["film"]), []).append(kind)
    return [
        _Film(number, all(row == "normal" for row in found), tuple(row for row in found if not isinstance(row, str)))
        for number, found in sorted(rows.items())
    ]


def _film_file(path: Path, number: int) -> Path | None:
    """The file of a film, PNG before PGM."""
    for suffix in ("png", "pgm"):
        file = path / f"mdb{number:03d}.{suffix}"
        if file.exists():
            return file
    return None


def _read_film(file: Path) -> Image:
    """Load one film and check its size."""
    try:
        picture = load_image(file)
    except ImageError as error:
        raise DatasetError(f"a film of mini-MIAS cannot be used: {error}") from error
    if picture.pixels.shape != (FILM_SIDE, FILM_SIDE):
        raise DatasetError(
            f"the film {file} has {picture.columns} columns x {picture.rows} rows where {FILM_SIDE} x {FILM_SIDE} "
            "are needed; restore the original file"
        )
    return picture


def _frame(tissue: npt.NDArray[np.bool_]) -> _Frame | None:
    """What the breast spans: every row and column with at least a quarter of a region's side of tissue, end to end."""
    columns = np.flatnonzero(tissue.sum(axis=0) >= REGION_SIDE // 4)
    rows = np.flatnonzero(tissue.sum(axis=1) >= REGION_SIDE // 4)
    if columns.size == 0 or rows.size == 0:
        return None
    left, right = int(columns[0]), int(columns[-1]) + 1
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    if right - left < REGION_SIDE or bottom - top < REGION_SIDE:
        return None
    # The breast is cut off straight at the chest and rounded off at the nipple.
    chest_left = int(tissue[:, left : left + 8].sum()) > int(tissue[:, right - 8 : right].sum())
    return _Frame(top, bottom, left, right, chest_left)


def _lesion_regions(picture: Image, film: _Film) -> Iterator[Region]:
    """A region around each lesion, shifted into the breast's frame."""
    tissue = picture.pixels > _TISSUE
    frame = _frame(tissue)
    if frame is None:
        return
    half = REGION_SIDE // 2
    for column, row in film.lesions:
        x = min(max(column - half, frame.left), frame.right - REGION_SIDE)
        y = min(max(row - half, frame.top), frame.bottom - REGION_SIDE)
        if tissue[y : y + REGION_SIDE, x : x + REGION_SIDE].mean() >= 0.5:
            yield Region(x, y, REGION_SIDE)


def _normal_regions(picture: Image, film: _Film) -> Iterator[Region]:
    """Up to two regions of breast tissue that share less than a quarter of their area where there is room."""
    tissue = picture.pixels > _TISSUE
    frame = _frame(tissue)
    if frame is None:
        return
    total = np.zeros((FILM_SIDE + 1, FILM_SIDE + 1), np.int64)
    total[1:, 1:] = tissue.cumsum(axis=0).cumsum(axis=1)
    x, y = np.meshgrid(
        np.arange(frame.left, frame.right - REGION_SIDE + 1, _STEP),
        np.arange(frame.top, frame.bottom - REGION_SIDE + 1, _STEP),
    )
    far_x, far_y = x + REGION_SIDE, y + REGION_SIDE
    share = (total[far_y, far_x] - total[y, far_x] - total[far_y, x] + total[y, x]) / REGION_SIDE**2
    places = np.argwhere((share >= _LEAST_TISSUE) & ~_in_pectoral_corner(frame, x, y))
    seed = int.from_bytes(hashlib.sha256(f"mdb{film.number:03d}".encode()).digest()[:8], "big")
    chosen: list[Region] = []
    for row, column in np.random.default_rng(seed).permutation(places):
        region = Region(int(x[row, column]), int(y[row, column]), REGION_SIDE)
        if all(_overlap(region, other) < 0.25 for other in chosen):
            chosen.append(region)
        if len(chosen) == NORMAL_REGIONS:
            break
    yield from chosen


def _in_pectoral_corner(frame: _Frame, x: npt.NDArray[np.int64], y: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether a region's centre lies in the triangle that the pectoral muscle takes up in most films.

    Its corners are the frame's upper corner at the chest, 60 % of the way to the nipple, and 60 % of the way down.
    """
    half = REGION_SIDE / 2
    across = (x + half - frame.left) / (frame.right - frame.left)
    down = (y + half - frame.top) / (frame.bottom - frame.top)
    from_chest = across if frame.chest_left else 1 - across
    return np.asarray(from_chest + down < _PECTORAL_REACH)


def _overlap(one: Region, other: Region) -> float:
    """Shared area of two regions of one size, as a share of one."""
    width = max(0, one.size - abs(one.x - other.x))
    height = max(0, one.size - abs(one.y - other.y))
    return width * height / one.size**2
