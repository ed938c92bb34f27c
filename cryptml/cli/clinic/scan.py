"""``cryptml scan``: a whole mammogram, square by square, as a heat map over it."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptml.cli.console import ConsoleListener, Stages, note, out, print_json, say
from cryptml.cli.options.acceptance import SpotChecks, spot_checks_words
from cryptml.cli.options.connection import ConnectionOptions
from cryptml.cli.options.groups import with_option_groups
from cryptml.cli.options.pictures import PictureOptions
from cryptml.cli.output_files import check_new_file
from cryptml.reports.table import bytes_text, duration_text, plain_table

if TYPE_CHECKING:
    from cryptml_client.heat_map import ScanResult


@with_option_groups
def scan(
    image: Annotated[Path, typer.Argument(help="A whole picture: a file, or a study and which of it.")],
    connection: ConnectionOptions,
    pictures: PictureOptions,
    out_file: Annotated[Path, typer.Option("--out", help="New PNG file for the heat map.")],
    tile: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Side of a square in pixels, best that of the regions that the network was trained on; an eighth of the "
            "shorter side otherwise.",
        ),
    ] = None,
    step: Annotated[int | None, typer.Option(min=1, help="Pixels between squares; half a square otherwise.")] = None,
    positive: Annotated[
        str | None, typer.Option(help="The class to show; the network's positive class otherwise.")
    ] = None,
    spot_checks: SpotChecks = 0.0,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each answer.")] = 900.0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a scan that was interrupted.")] = False,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="Ask about all squares, also where no breast is found.")
    ] = False,
    in_flight: Annotated[
        int,
        typer.Option(
            min=1, max=256, help="Squares asked about at once; a service with many workers answers more at once."
        ),
    ] = 4,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing heat map.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask about every square that shows the breast at least by half; with --everywhere about all, for pictures that are no mammograms."""
    from cryptml_client.heat_map import ScanRequest, scan_mammogram

    check_new_file(out_file, "--out", "PNG", force=force)
    request = ScanRequest(
        image, out_file, pictures.frames, pictures.views, tile, step, positive, resume, everywhere, in_flight
    )
    stages = Stages()
    with connection.connect(stages, timeout_seconds=timeout, spot_checks=spot_checks) as client:
        found = scan_mammogram(client, request, listener=ConsoleListener(stages))
        if spot_checks:
            note(spot_checks_words(client.spot_checks_passed))
    if json:
        print_json(found.to_json())
    else:
        _show(found, in_flight)
        say(f"heat map written to {out_file}; research use only, not a medical device")


def _show(found: ScanResult, in_flight: int) -> None:
    answers = found.answered
    highest = max(answers, key=lambda answer: answer.probabilities[found.shown])
    times = [answer.milliseconds for answer in answers]
    rows = [
        ("picture", found.picture.source),
        ("squares asked about", f"{len(answers)} of {found.squares}"),
        ("side of a square", f"{highest.region.size} pixels"),
        (f"highest probability of {found.positive}", f"{highest.probabilities[found.shown]:.3f}"),
        ("at", str(highest.region)),
        (f"an answer, median, {in_flight} at once", duration_text(statistics.median(times))),
        ("this run", duration_text(1000 * found.seconds)),
        ("sent", bytes_text(sum(answer.upload_bytes for answer in answers))),
        ("received", bytes_text(sum(answer.download_bytes for answer in answers))),
    ]
    out.print(plain_table("Scan", [("what", "left"), ("value", "right")], rows))
