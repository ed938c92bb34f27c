"""``cryptml scan``: a whole mammogram, square by square, as a heat map over it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryptml.cli.console import Stages, bar, err, note, out, print_json, say
from cryptml.cli.options.acceptance import SpotChecks
from cryptml.cli.options.connection import ConnectionOptions
from cryptml.cli.options.groups import with_option_groups
from cryptml.cli.options.pictures import PictureOptions
from cryptml.cli.output_files import PRIVATE, check_new_file
from cryptml.errors import CryptmlError, SettingError
from cryptml.files import write_bytes
from cryptml.images import Image, load_image, tile_breast
from cryptml.reports.table import bytes_text, duration_text, plain_table

if TYPE_CHECKING:
    from cryptml_client import Client, Scan, TileAnswer

    from cryptml.bundle import ClientBundle

TILES_ACROSS = 8
"""Squares along the picture's shorter side, where no size is asked for and they are large enough for the network."""


@with_option_groups
def scan(
    image: Annotated[Path, typer.Argument(help="A whole mammogram: a file, or a study and which of it.")],
    connection: ConnectionOptions,
    pictures: PictureOptions,
    out_file: Annotated[Path, typer.Option("--out", help="New PNG file for the heat map.")],
    tile: Annotated[
        int | None, typer.Option(min=1, help="Side of a square in pixels; an eighth of the shorter side otherwise.")
    ] = None,
    step: Annotated[int | None, typer.Option(min=1, help="Pixels between squares; half a square otherwise.")] = None,
    positive: Annotated[
        str | None, typer.Option(help="The class to show; the network's positive class otherwise.")
    ] = None,
    spot_checks: SpotChecks = 0.0,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each answer.")] = 900.0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a scan that was interrupted.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing heat map.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask about every square that shows the breast at least by half; squares of background are not asked about."""
    check_new_file(out_file, "--out", "PNG", force=force)
    file = pictures.one(image)
    picture = load_image(file, pictures.choice)
    with connection.connect(stages := Stages(), timeout_seconds=timeout, spot_checks=spot_checks) as client:
        bundle = client.bundle
        shown = class_shown(bundle.classes, positive, bundle.positive)
        scanning = _begin(client, picture, out_file, tile, step, resume=resume)
        stages.quiet = True
        answers = _ask(scanning)
        if spot_checks:
            note(f"{client.spot_checks_passed} spot checks were answered as the model's bundle says")
    answered = _answered(answers, file)
    _write_heat_map(out_file, picture, answered, shown, bundle.classes[shown])
    scanning.discard()
    if json:
        print_json(_document(bundle, shown, picture, answers) | {"heat_map": str(out_file)})
    else:
        _show(answered, shown, bundle.classes[shown], picture.source)
        say(f"heat map written to {out_file}; research use only, not a medical device")


def _begin(client: Client, picture: Image, out_file: Path, tile: int | None, step: int | None, *, resume: bool) -> Scan:
    """Return a scan of every square that shows the breast, with its keys at the service."""
    from cryptml_client import Scan

    size = tile if tile is not None else _default_tile(picture, client.bundle.front_end.side)
    regions = tile_breast(picture, size, step if step is not None else max(1, size // 2))
    scanning = Scan(client, picture, regions, out_file.with_name(f"{out_file.name}.journal"), resume=resume)
    client.prepare()
    return scanning


def _answered(answers: Sequence[TileAnswer], file: Path) -> list[TileAnswer]:
    """Return the squares that have an answer, saying of how many that is not so.

    Raises:
        CryptmlError: If none has one.
    """
    answered = [each for each in answers if each.probabilities]
    if len(answered) < len(answers):
        note(
            f"{len(answers) - len(answered)} of {len(answers)} squares have no answer: they lie too far from what the network was "
            "calibrated for"
        )
    if not answered:
        raise CryptmlError(f"no square of {file} has an answer; the network was made for other pictures")
    return answered


def _write_heat_map(out_file: Path, picture: Image, answered: Sequence[TileAnswer], shown: int, positive: str) -> None:
    from cryptml.reports.heat_map import Tile, render_heat_map

    tiles = [Tile(answer.region, answer.probabilities[shown]) for answer in answered]
    try:
        write_bytes(out_file, render_heat_map(picture, tiles, positive), mode=PRIVATE)
    except OSError as error:
        raise SettingError(f"{out_file} cannot be written ({error.strerror}); --resume once it can be") from error


def _document(bundle: ClientBundle, shown: int, picture: Image, answers: Sequence[TileAnswer]) -> dict[str, Any]:
    return {
        "classes": list(bundle.classes),
        "positive": bundle.classes[shown],
        "columns": picture.columns,
        "rows": picture.rows,
        "source": picture.source,
        "split": bundle.split.letters,
        "tiles": [
            {"x": each.region.x, "y": each.region.y, "size": each.region.size, **each.to_json()} for each in answers
        ],
    }


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
            f"the network tells {', '.join(classes)} apart and {said}; name the one to show with --positive"
        )
    return classes.index(positive)


def _default_tile(picture: Image, side: int) -> int:
    shorter = min(picture.rows, picture.columns)
    if shorter < side:
        raise SettingError(
            f"the picture's shorter side has {shorter} pixels where the network takes squares of {side}; give a larger picture"
        )
    return max(side, shorter // TILES_ACROSS)


def _ask(scanning: Scan) -> list[TileAnswer]:
    from cryptml_client import SpotCheckFailed

    answers: list[TileAnswer] = []
    total = scanning.total
    try:
        with bar("squares", total) as (progress, task):
            for answer in scanning.answers():
                answers.append(answer)
                progress.advance(task)
    except SpotCheckFailed:  # there is nothing to go on from
        raise
    except (CryptmlError, KeyboardInterrupt):
        if answers:
            done = f"{len(answers)} of {total} squares are answered; --resume goes on from there"
            err.print(done, style="yellow", soft_wrap=True)
        raise
    return answers


def _show(answers: Sequence[TileAnswer], shown: int, positive: str, source: str) -> None:
    highest = max(answers, key=lambda answer: answer.probabilities[shown])
    times = [answer.milliseconds for answer in answers]
    rows = [
        ("picture", source),
        ("squares asked about", str(len(answers))),
        (f"highest probability of {positive}", f"{highest.probabilities[shown]:.3f}"),
        ("at", str(highest.region)),
        ("an answer, median", duration_text(statistics.median(times))),
        ("all answers", duration_text(sum(times))),
        ("sent", bytes_text(sum(answer.upload_bytes for answer in answers))),
        ("received", bytes_text(sum(answer.download_bytes for answer in answers))),
    ]
    out.print(plain_table("Scan", [("what", "left"), ("value", "right")], rows))
