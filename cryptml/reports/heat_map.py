"""A network's probability for every square of a mammogram, as a picture over it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from cryptml.errors import counted
from cryptml.images import Image, Region

LONGEST_SIDE = 1400
"""Of the picture that is written, in pixels; larger mammograms are reduced."""

COLOURS = ((1.0, 0.86, 0.20), (0.98, 0.50, 0.05), (0.80, 0.04, 0.10))
"""From probability 0 over one half to 1: yellow, orange, red; told apart by lightness alone too."""

MOST_OPAQUE = 0.75
"""Share of the colour at probability 1. It grows with the square of the probability, so that low ones do not hide the tissue."""

OUTLINE = (90, 200, 255)
"""Around what was asked about: a low probability leaves the tissue as it is, and must not look like no answer."""

BAR = 140
"""Height of the legend below the mammogram, in pixels."""

MARGIN = 24
NARROWEST = 520
"""The least width, in pixels, that has room for the legend."""

Reals = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tile:
    """A square and the network's opinion of it.

    Attributes:
        region: In pixels of the original.
        probability: Of the positive class, 0 to 1.
    """

    region: Region
    probability: float


def mean_probability(tiles: Sequence[Tile], rows: int, columns: int, scale: float = 1.0) -> Reals:
    """Return (rows, columns): the mean over the tiles that cover a pixel, NaN where none does.

    Args:
        tiles: At least one.
        rows: Of the result.
        columns: Of the result.
        scale: Pixels of the result for one of the original.
    """
    total, count = np.zeros((rows, columns)), np.zeros((rows, columns))
    for tile in tiles:
        first = tile.region
        top, bottom = round(first.y * scale), round((first.y + first.size) * scale)
        left, right = round(first.x * scale), round((first.x + first.size) * scale)
        total[top:bottom, left:right] += tile.probability
        count[top:bottom, left:right] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def render_heat_map(image: Image, tiles: Sequence[Tile], positive: str) -> bytes:
    """Return a PNG: the mammogram, coloured where tiles were looked at, these outlined, the highest one framed, with a legend.

    Args:
        image: The mammogram that the tiles are of.
        tiles: At least one, inside the mammogram.
        positive: Name of the class whose probability is shown.
    """
    scale = min(1.0, LONGEST_SIDE / max(image.rows, image.columns))
    rows, columns = max(1, round(image.rows * scale)), max(1, round(image.columns * scale))
    grey = Picture.fromarray(image.pixels).resize((columns, rows), Picture.Resampling.BOX)
    base = np.clip(np.asarray(grey, np.float64), 0, 1)[:, :, None]
    heat = mean_probability(tiles, rows, columns, scale)
    seen = np.nan_to_num(heat)[:, :, None]
    opacity = MOST_OPAQUE * seen**2
    blended = base * (1 - opacity) + _colour(seen[:, :, 0]) * opacity
    blended[_outline(heat)] = np.array(OUTLINE) / 255
    canvas = Picture.new("RGB", (max(columns, NARROWEST), rows + BAR), (16, 18, 22))
    canvas.paste(Picture.fromarray(np.rint(blended * 255).astype(np.uint8)), (0, 0))
    draw = ImageDraw.Draw(canvas)
    highest = max(tiles, key=lambda tile: tile.probability)
    corners = [round(value * scale) for value in (highest.region.x, highest.region.y)]
    corners += [corner + max(1, round(highest.region.size * scale)) - 1 for corner in corners]
    draw.rectangle(corners, outline=(255, 255, 255), width=2)
    _legend(canvas, draw, rows, f"probability of {positive}, mean of overlapping squares", len(tiles))
    stream = io.BytesIO()
    canvas.save(stream, format="PNG")
    return stream.getvalue()


def _outline(heat: Reals) -> npt.NDArray[np.bool_]:
    """Return the pixels with an answer that have a neighbour, or the picture's edge, without one."""
    asked = np.pad(~np.isnan(heat), 1)
    inner = asked[:-2, 1:-1] & asked[2:, 1:-1] & asked[1:-1, :-2] & asked[1:-1, 2:]
    return np.asarray(asked[1:-1, 1:-1] & ~inner)


def _colour(values: Reals) -> Reals:
    """Return (..., 3) in [0, 1] for probabilities."""
    places = np.linspace(0, 1, len(COLOURS))
    return np.stack([np.interp(values, places, [colour[part] for colour in COLOURS]) for part in range(3)], axis=-1)


def _legend(canvas: Picture.Image, draw: ImageDraw.ImageDraw, top: int, title: str, tiles: int) -> None:
    """Draw the colour bar as it looks over mid-grey tissue, with its ends and middle, and the words."""
    width = min(320, canvas.width - 2 * MARGIN)
    ramp = np.linspace(0, 1, width)
    opacity = MOST_OPAQUE * ramp[:, None] ** 2
    bar = 0.45 * (1 - opacity) + _colour(ramp) * opacity
    strip = np.repeat(np.rint(bar * 255).astype(np.uint8)[None], 16, axis=0)
    canvas.paste(Picture.fromarray(strip), (MARGIN, top + 40))
    font, small = ImageFont.load_default(18), ImageFont.load_default(14)
    draw.text((MARGIN, top + 12), title, (235, 235, 235), font)
    for share, anchor in ((0.0, "la"), (0.5, "ma"), (1.0, "ra")):
        draw.text((MARGIN + share * (width - 1), top + 60), f"{share:g}", (235, 235, 235), small, anchor=anchor)
    draw.text(
        (MARGIN, top + 88),
        f"{counted(tiles, 'square')} inside the blue line; nothing was asked outside.",
        (170, 170, 170),
        small,
    )
    draw.text(
        (MARGIN, top + 108), "White: the highest. Research use only, not a medical device.", (170, 170, 170), small
    )
