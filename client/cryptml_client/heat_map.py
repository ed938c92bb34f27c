"""A whole mammogram, from its file to a heat map over it: which squares, which class, what is written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptml.errors import CryptmlError, SettingError
from cryptml.files import write_bytes
from cryptml.images import FrameChoice, Image, Region, load_image, tile_all, tile_breast
from cryptml.images.study import ViewChoice
from cryptml.listening import Listener, SilentListener
from cryptml_client.client import Client
from cryptml_client.scan import IN_FLIGHT, Scan, TileAnswer
from cryptml_client.trust.spot_checking import SpotCheckFailed

TILES_ACROSS = 8
"""Squares along the picture's shorter side, where no size is asked for and they are large enough for the network."""

LEAST_SHARE = 1 / 3
"""Of all squares: where fewer show a breast, the picture may be no mammogram, and that is said."""

PRIVATE = 0o600
"""A heat map tells of a person: it is for its owner's eyes alone."""


@dataclass(frozen=True)
class ScanRequest:
    """Which picture, and how it is divided.

    Attributes:
        image: A file, a folder of a study, or a DICOMDIR.
        out: The heat map, PNG, replaced where there is one; beside it lie the answers so far, until it is written.
        frames: Of a file with several.
        views: Of a study; one picture is to be left.
        tile: Side of a square in pixels of the original; an eighth of the shorter side, at least what the network takes, if None.
        step: Pixels between squares; half a square if None.
        positive: The class to show; the network's positive class if None.
        resume: Whether to go on with a scan that was interrupted.
        everywhere: Whether to ask about all squares, instead of those that show a breast: for pictures that are no mammograms.
        in_flight: Squares that are asked about at once.
    """

    image: Path
    out: Path
    frames: FrameChoice | None = None
    views: ViewChoice = field(default_factory=ViewChoice)
    tile: int | None = None
    step: int | None = None
    positive: str | None = None
    resume: bool = False
    everywhere: bool = False
    in_flight: int = IN_FLIGHT


@dataclass(frozen=True, eq=False)
class ScanResult:
    """A mammogram that was scanned.

    Attributes:
        file: That holds it.
        heat_map: That was written, readable by its owner alone.
        picture: The mammogram.
        classes: Of the network.
        shown: Index of the class whose probability the heat map shows.
        split: Who ran which layer, as letters.
        answers: Of every square that was asked about; one without probabilities has no answer.
        squares: Of the whole grid, also those that were not asked about.
        seconds: That this run took for the squares which an interrupted one had not answered.
    """

    file: Path
    heat_map: Path
    picture: Image
    classes: tuple[str, ...]
    shown: int
    split: str
    answers: tuple[TileAnswer, ...]
    squares: int
    seconds: float

    @property
    def positive(self) -> str:
        """The class whose probability the heat map shows."""
        return self.classes[self.shown]

    @property
    def answered(self) -> list[TileAnswer]:
        """The squares that have an answer; the others lie too far from what the network was calibrated for."""
        return [each for each in self.answers if each.probabilities]

    def to_json(self) -> dict[str, Any]:
        """Return the scan as JSON values."""
        return {
            "classes": list(self.classes),
            "positive": self.positive,
            "columns": self.picture.columns,
            "rows": self.picture.rows,
            "source": self.picture.source,
            "split": self.split,
            "tiles": [
                {"x": each.region.x, "y": each.region.y, "size": each.region.size, **each.to_json()}
                for each in self.answers
            ],
            "squares": self.squares,
            "seconds": round(self.seconds, 3),
            "heat_map": str(self.heat_map),
        }


def scan_mammogram(client: Client, request: ScanRequest, *, listener: Listener | None = None) -> ScanResult:
    """Ask about every square that shows the breast at least by half, or about all, and write the heat map.

    Args:
        client: Of the service; its keys are made or found once the squares are known.
        request: Which picture, and how it is divided.
        listener: Hears of progress, of squares without an answer, and how many are answered where the scan breaks off.

    Raises:
        ImageError: If the picture cannot be read, is not one, or squares are smaller than what the network takes.
        JournalError: If there is an interrupted scan that is not to go on, or belongs to another, or is damaged.
        SettingError: If there is no such class, the picture is too small, or the heat map cannot be written.
        SpotCheckFailed: If the service is found out; the answers so far are thrown away.
        CryptmlError: If no square has an answer; else as `Client.bundle`, `Client.prepare` and `Client.predict_region`: the answers so
            far are kept then.
    """
    listener = listener if listener is not None else SilentListener()
    file = request.views.one(request.image, listener)
    picture = load_image(file, request.frames)
    bundle = client.bundle
    shown = class_shown(bundle.classes, request.positive, bundle.positive)
    journal = request.out.with_name(f"{request.out.name}.journal")
    asked, squares = _squares(picture, request, bundle.front_end.side)
    if len(asked) < LEAST_SHARE * squares:
        listener.note(
            f"{len(asked)} of {squares} squares are asked about, the others show less than half of the breast; `everywhere` asks about "
            "all, for pictures that are no mammograms"
        )
    scanning = Scan(client, picture, asked, journal, resume=request.resume, in_flight=request.in_flight)
    client.prepare()
    began = time.monotonic()
    answers = _ask(scanning, listener)
    result = ScanResult(
        file,
        request.out,
        picture,
        tuple(bundle.classes),
        shown,
        bundle.split.letters,
        tuple(answers),
        squares,
        time.monotonic() - began,
    )
    missing = len(answers) - len(result.answered)
    if missing:
        listener.note(
            f"{missing} of {len(answers)} squares have no answer: they lie too far from what the network was calibrated for"
        )
    if not result.answered:
        raise CryptmlError(f"no square of {file} has an answer; the network was made for other pictures")
    _write(result)
    scanning.discard()
    return result


def class_shown(classes: Sequence[str], asked: str | None, own: str | None) -> int:
    """Return the index of the class whose probability is shown.

    Args:
        classes: Of the network.
        asked: What the user asks for, if anything.
        own: The network's positive class, if it has one.

    Raises:
        SettingError: If there is neither, or no such class.
    """
    positive = own if asked is None else asked
    if positive not in classes:
        said = "none is named" if positive is None else f"{positive!r} is none of them"
        raise SettingError(
            f"the network tells {', '.join(classes)} apart and {said}; name the one to show with `positive`"
        )
    return classes.index(positive)


def _squares(picture: Image, request: ScanRequest, side: int) -> tuple[list[Region], int]:
    """Return the squares to ask about, and how many the whole grid has."""
    size = request.tile
    if size is None:
        shorter = min(picture.rows, picture.columns)
        if shorter < side:
            raise SettingError(
                f"the picture's shorter side has {shorter} pixels where the network takes squares of {side}; give a larger picture"
            )
        size = max(side, shorter // TILES_ACROSS)
    step = request.step if request.step is not None else max(1, size // 2)
    every = tile_all(picture, size, step)
    return list(every if request.everywhere else tile_breast(picture, size, step)), len(every)


def _ask(scanning: Scan, listener: Listener) -> list[TileAnswer]:
    answers: list[TileAnswer] = []
    try:
        with listener.bar("squares", scanning.total) as bar:
            for answer in scanning.answers():
                answers.append(answer)
                bar(len(answers))
    except SpotCheckFailed:  # there is nothing to go on from
        raise
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{len(answers)} of {scanning.total} squares are answered and kept in {scanning.journal}: the same command with `resume` asks "
            "for the rest"
        ) from None
    except CryptmlError:
        if answers:
            listener.note(f"{len(answers)} of {scanning.total} squares are answered; `resume` goes on from there")
        raise
    return answers


def _write(result: ScanResult) -> None:
    from cryptml.reports.heat_map import Tile, render_heat_map

    tiles = [Tile(answer.region, answer.probabilities[result.shown]) for answer in result.answered]
    try:
        write_bytes(result.heat_map, render_heat_map(result.picture, tiles, result.positive), mode=PRIVATE)
    except OSError as error:
        raise SettingError(
            f"{result.heat_map} cannot be written ({error.strerror}); `resume` once it can be"
        ) from error
