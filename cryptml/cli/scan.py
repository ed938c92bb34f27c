"""``cryptml scan``: a whole mammogram, square by square, as a heat map over it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptml.cli.console import Stages, bar, err, out, print_json
from cryptml.cli.passphrase import PassphraseFile, read_passphrase
from cryptml.errors import CryptmlError, SettingError
from cryptml.files import sha256, write_bytes
from cryptml.images import Image, crop, load_image, tile_breast
from cryptml.journal import Journal
from cryptml.reports.table import bytes_text, duration_text, plain_table

if TYPE_CHECKING:
    from cryptml_client import TileAnswer

TILES_ACROSS = 8
"""Squares along the picture's shorter side, where no size is asked for."""

PRIVATE = 0o600
"""A heat map is a finding about a person: for its owner's eyes alone."""


def scan(
    image: Annotated[Path, typer.Argument(help="DICOM, PNG or PGM file of a whole mammogram.")],
    server: Annotated[str, typer.Option(help="Address of the service, such as http://127.0.0.1:8000.")],
    out_file: Annotated[Path, typer.Option("--out", help="New PNG file for the heat map.")],
    tile: Annotated[
        int | None, typer.Option(min=1, help="Side of a square in pixels; an eighth of the shorter side otherwise.")
    ] = None,
    step: Annotated[int | None, typer.Option(min=1, help="Pixels between squares; half a square otherwise.")] = None,
    model: Annotated[str | None, typer.Option(help="Its name there, where there are several.")] = None,
    keys: Annotated[Path | None, typer.Option(help="Folder of the keys.")] = None,
    passphrase_file: PassphraseFile = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each answer.")] = 900.0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a scan that was interrupted.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing heat map.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask about every square that shows the breast; what shows background is not sent at all."""
    from cryptml_client import Client, KeyStore, TileAnswer

    if out_file.exists() and not force:
        raise SettingError(f"{out_file} exists; choose another file or pass --force to replace it")
    picture = load_image(image)
    size = tile if tile is not None else max(1, min(picture.rows, picture.columns) // TILES_ACROSS)
    stride = step if step is not None else max(1, size // 2)
    regions = tile_breast(picture, size, stride)
    stages = Stages()
    with Client(
        server,
        model=model,
        keys=KeyStore(keys, read_passphrase(passphrase_file)),
        timeout_seconds=timeout,
        progress=stages,
    ) as client:
        bundle = client.bundle
        # All squares are cropped first: those that are too small for the network are refused before anything is sent.
        squares = {region: crop(picture, region, bundle.front_end.side) for region in regions}
        head = {
            "format": "cryptml-scan",
            "format_version": 1,
            "picture": sha256(picture.pixels.tobytes()),
            "bundle": bundle.digest,
            "tile": size,
            "step": stride,
        }
        journal = Journal(out_file.with_name(f"{out_file.name}.journal"), head, resume=resume)
        answers = {
            region: TileAnswer.from_json(entry, bundle.classes)
            for region in regions
            if (entry := journal.get(str(region))) is not None
        }
        if len(answers) < len(regions):
            client.prepare()
        stages.quiet = True
        try:
            with bar("squares", len(regions)) as (progress, task):
                progress.advance(task, len(answers))
                for region in regions:
                    if region not in answers:
                        answers[region] = TileAnswer.of(region, client.predict_region(squares[region]))
                        journal.record(str(region), answers[region].to_json())
                        progress.advance(task)
        except (CryptmlError, KeyboardInterrupt):
            err.print(
                f"{len(answers)} of {len(regions)} squares are answered; --resume goes on from there", style="yellow"
            )
            raise
    ordered = [answers[region] for region in regions]
    _write(picture, ordered, bundle.classes, out_file)
    journal.remove()
    if json:
        print_json(
            {
                "heat_map": str(out_file),
                "classes": list(bundle.classes),
                "columns": picture.columns,
                "rows": picture.rows,
                "split": bundle.split.letters,
                "tiles": [answer.to_json() for answer in ordered],
            }
        )
    else:
        _show(ordered, out_file)


def _write(picture: Image, answers: Sequence[TileAnswer], classes: Sequence[str], out_file: Path) -> None:
    from cryptml.reports.heat_map import Tile, render_heat_map

    tiles = [Tile(answer.region, answer.positive_probability) for answer in answers]
    name = classes[1] if len(classes) == 2 else f"anything but {classes[0]}"
    try:
        write_bytes(out_file, render_heat_map(picture, tiles, name), mode=PRIVATE)
    except OSError as error:
        raise SettingError(f"{out_file} cannot be written ({error.strerror}); --resume once it can be") from error


def _show(answers: Sequence[TileAnswer], out_file: Path) -> None:
    highest = max(answers, key=lambda answer: answer.positive_probability)
    times = [answer.milliseconds for answer in answers]
    rows = [
        ("squares asked about", str(len(answers))),
        ("highest probability", f"{highest.positive_probability:.3f}"),
        ("at", str(highest.region)),
        ("an answer, median", duration_text(statistics.median(times))),
        ("all answers", duration_text(sum(times))),
        ("sent", bytes_text(sum(answer.upload_bytes for answer in answers))),
        ("received", bytes_text(sum(answer.download_bytes for answer in answers))),
    ]
    out.print(plain_table(f"Heat map written to {out_file}", [("what", "left"), ("value", "right")], rows))
    out.print("Research use only, not a medical device.", style="dim")
