"""``cryptml predict``: ask a service about pictures that it never sees."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryptml.cli.clinic.batch_options import BatchOptions
from cryptml.cli.console import ConsoleListener, Stages, bar, complain, note, print_json, say
from cryptml.cli.options.acceptance import SpotChecks, spot_checks_words
from cryptml.cli.options.connection import ConnectionOptions
from cryptml.cli.options.groups import with_option_groups
from cryptml.cli.options.pictures import PictureOptions
from cryptml.cli.spelling import as_options
from cryptml.errors import ImageError

if TYPE_CHECKING:
    from cryptml_client.batch.run import RunAnswer


@with_option_groups
def predict(
    images: Annotated[
        list[Path], typer.Argument(help="Pictures (DICOM, PNG, JPEG, TIFF, BMP, PGM), folders of a study, DICOMDIRs.")
    ],
    connection: ConnectionOptions,
    pictures: PictureOptions,
    batch: BatchOptions,
    roi: Annotated[str | None, typer.Option(help="X,Y,SIZE in pixels; the largest centred square otherwise.")] = None,
    spot_checks: SpotChecks = 0.0,
    clear_check: Annotated[
        str | None, typer.Option(help="Network to compare with in the clear: a folder or a name.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each answer.")] = 900.0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line and picture.")] = False,
) -> None:
    """Predict each picture: client layers here, server layers on ciphertexts; exit 1 if one fails."""
    from cryptml.images import Region
    from cryptml.images.decoding.pool import DECODERS

    settings = batch.settings({"roi": roi, "frame": pictures.frame, "clear_check": clear_check})
    DECODERS.begin()  # it imports what decodes while this process imports what asks
    from cryptml_client.asking import PictureRequest, read_pictures, require_same_network
    from cryptml_client.batch.run import Run

    from cryptml.networks import load_network

    region = Region.parse(roi) if roi is not None else None
    expected = load_network(clear_check) if clear_check is not None else None
    request = PictureRequest(images, pictures.frames, pictures.views, region)
    stages = Stages()
    asking = {"timeout_seconds": timeout, "patience_seconds": batch.patience, "background": batch.background}
    with connection.connect(stages, spot_checks=spot_checks, **asking) as client:
        if not any(path.exists() for path in images):  # said before a digest is compared and keys are made
            named = ", ".join(map(str, images))[:500]
            raise ImageError(f"{named}: there is no such file or folder; check the path")
        asked = list(read_pictures(request, client.bundle.front_end.side, ConsoleListener()))
        readable = sum(not isinstance(each.square, ImageError) for each in asked)
        if readable:
            client.prepare()
        else:  # a table without one answer would only be in the way
            settings = replace(settings, csv=None)
        if expected is not None:
            require_same_network(expected, client.bundle)
        run = Run(client, asked, settings, expected=expected, listener=ConsoleListener(stages))
        stages.quiet = len(asked) > 1
        failed = False
        with bar("asking the service", readable) if len(asked) > 1 else nullcontext((None, None)) as (shown, task):
            for found in run.answers():
                if shown is not None and task is not None and not isinstance(found.asked.square, ImageError):
                    shown.advance(task)
                _report(found, json=json)
                failed = failed or not found.as_it_should_be
        if spot_checks:
            note(spot_checks_words(client.spot_checks_passed))
    if settings.csv is not None and not json:
        say(f"answers written to {settings.csv}; research use only, not a medical device")
    if failed:
        raise typer.Exit(1)


def _report(found: RunAnswer, *, json: bool) -> None:
    document = dict(found.document)
    error = document.get("error")
    if error is not None:
        document["error"] = as_options(error)
    if json:
        print_json(document)
    if error is not None:
        complain(as_options(error))
    elif not json:
        say(f"{found.asked.name}: {_line(document)}")


def _line(result: dict[str, Any]) -> str:
    """Return label and probabilities by the names of their classes, and what a comparison found."""
    label, positive = result["label"], result["positive"]
    text = f"{label}, probability of {label} {result['probability']:.3f}"
    if positive not in (None, label):
        text += f", of {positive} {result['positive_probability']:.3f}"
    if result["matches_clear"] is None:
        return text
    if not result["matches_clear"]:
        return f"{text}; DIFFERS from the clear answer"
    return f"{text}; {'the clear answer, up to rounding' if result['approximate'] else 'equals the clear answer'}"
