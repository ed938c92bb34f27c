"""Pictures of a data set side by side, a band of rows for each class, as a PNG to look at before anything is trained."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from cryptml.datasets import Dataset
from cryptml.datasets.subsets import SUBSETS
from cryptml.errors import counted

COLUMNS = 12
"""Pictures side by side."""

MOST_ROWS = 4
"""Of one class, for sets of up to `MOST_BANDS` classes."""

MOST_BANDS = 40
"""Classes that are shown."""

SHOWN = 96
"""Side of a picture on the sheet, in pixels."""

GAP, MARGIN, HEADING, TITLE, FOOT = 8, 28, 40, 62, 52
BACKGROUND, PAPER, INK, FAINT = (16, 18, 22), (30, 33, 40), (235, 238, 242), (150, 157, 168)
COLOURS = {"train": (110, 168, 254), "validation": (255, 193, 92), "test": (126, 211, 148)}
"""Of the line under a picture, by its subset."""


def render_contact_sheet(dataset: Dataset, *, rows: int = MOST_ROWS) -> bytes:
    """Return a PNG: for each class a heading with its counts, and pictures spread evenly over its patients, or its files.

    A line under each picture tells its subset.

    Args:
        dataset: Any.
        rows: Most rows of pictures of one class, 1 or more.
    """
    shown = dataset.classes[:MOST_BANDS]
    bands = [_chosen(dataset, label, rows * COLUMNS) for label in range(len(shown))]
    heights = [HEADING + max(1, -(-len(band) // COLUMNS)) * (SHOWN + GAP + 4) + GAP for band in bands]
    width = 2 * MARGIN + COLUMNS * SHOWN + (COLUMNS - 1) * GAP
    height = MARGIN + TITLE + sum(heights) + GAP * (len(bands) - 1) + FOOT
    canvas = Picture.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    font, small = ImageFont.load_default(22), ImageFont.load_default(14)
    draw.text((MARGIN, MARGIN - 6), _printed(dataset.name, 60), INK, font)
    known = f"{counted(len(set(dataset.patients)), 'patient')}" if dataset.patients_known else "patients not known"
    draw.text(
        (MARGIN, MARGIN + 24),
        f"{counted(len(dataset), 'picture')}, {known}, {dataset.side} x {dataset.side} pixels as a network of that side reads them",
        FAINT,
        small,
    )
    top = MARGIN + TITLE
    for label, (name, band, band_height) in enumerate(zip(shown, bands, heights, strict=True)):
        _draw_band(canvas, draw, dataset, label, name, band, top, band_height)
        top += band_height + GAP
    _draw_legend(draw, dataset, top + 8, small)
    if len(dataset.classes) > len(shown):
        more = f"{len(dataset.classes) - len(shown)} more classes are not shown"
        draw.text((width - MARGIN, top + 8), more, FAINT, small, anchor="ra")
    stream = io.BytesIO()
    canvas.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _draw_band(
    canvas: Picture.Image,
    draw: ImageDraw.ImageDraw,
    dataset: Dataset,
    label: int,
    name: str,
    band: list[int],
    top: int,
    height: int,
) -> None:
    """Draw a class: a panel, its heading, its pictures."""
    font, small = ImageFont.load_default(17), ImageFont.load_default(14)
    draw.rounded_rectangle((MARGIN // 2, top, canvas.width - MARGIN // 2, top + height - 1), 8, PAPER)
    words = _printed(name, 60)
    draw.text((MARGIN, top + 10), words, INK, font)
    if name == dataset.positive_class:
        left = MARGIN + draw.textlength(words, font) + 12
        draw.rounded_rectangle(
            (left, top + 11, left + draw.textlength("positive", small) + 16, top + 31), 9, (122, 38, 52)
        )
        draw.text((left + 8, top + 13), "positive", INK, small)
    counts = [int(((dataset.labels == label) & (np.array(dataset.subsets) == subset)).sum()) for subset in SUBSETS]
    said = ", ".join(f"{count} {subset}" for subset, count in zip(SUBSETS, counts, strict=True))
    total = sum(counts)
    draw.text((canvas.width - MARGIN, top + 13), f"{len(band)} of {total} pictures; {said}", FAINT, small, anchor="ra")
    if not band:
        draw.text((MARGIN, top + HEADING + 20), "no picture", FAINT, small)
    for number, place in enumerate(band):
        row, column = divmod(number, COLUMNS)
        x, y = MARGIN + column * (SHOWN + GAP), top + HEADING + row * (SHOWN + GAP + 4)
        pixels = Picture.fromarray(np.rint(dataset.images[place] * 255).astype(np.uint8))
        resampling = Picture.Resampling.BOX if dataset.side > SHOWN else Picture.Resampling.NEAREST
        canvas.paste(pixels.resize((SHOWN, SHOWN), resampling).convert("RGB"), (x, y))
        draw.rectangle((x, y + SHOWN + 1, x + SHOWN - 1, y + SHOWN + 3), COLOURS[dataset.subsets[place]])


def _draw_legend(draw: ImageDraw.ImageDraw, dataset: Dataset, top: int, font: object) -> None:
    """Say which colour is which subset, of those that occur."""
    left: float = MARGIN
    for subset in SUBSETS:
        if subset in dataset.subsets:
            draw.rectangle((left, top + 7, left + 22, top + 10), COLOURS[subset])
            draw.text((left + 30, top), subset, FAINT, font)  # type: ignore[arg-type]
            left += 30 + draw.textlength(subset, font) + 26  # type: ignore[arg-type]


def _chosen(dataset: Dataset, label: int, most: int) -> list[int]:
    """Positions of pictures of a class, evenly spread over the set in its order."""
    places = np.flatnonzero(dataset.labels == label)
    if len(places) <= most:
        return [int(place) for place in places]
    return [int(places[int(step)]) for step in np.linspace(0, len(places) - 1, most).round()]


def _printed(text: str, most: int) -> str:
    """Text that fits; what the font of Pillow cannot show comes out as boxes."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
