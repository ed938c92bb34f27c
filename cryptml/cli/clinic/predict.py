"""``cryptml predict``: ask a service about pictures that it never sees."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryptml.cli.console import ConsoleListener, Stages, bar, err, note, out, print_json
from cryptml.cli.options.acceptance import SpotChecks
from cryptml.cli.options.connection import ConnectionOptions
from cryptml.cli.options.groups import with_option_groups
from cryptml.cli.options.pictures import PictureOptions
from cryptml.cli.spelling import as_options
from cryptml.errors import ImageError
from cryptml.images import Region
from cryptml.networks import load_network
from cryptml.reports.table import bytes_text, milliseconds_text, plain_table

if TYPE_CHECKING:
    from cryptml_client.asking import PictureAnswer


@with_option_groups
def predict(
    images: Annotated[
        list[Path], typer.Argument(help="Pictures (DICOM, PNG, JPEG, TIFF, BMP, PGM), folders of a study, DICOMDIRs.")
    ],
    connection: ConnectionOptions,
    pictures: PictureOptions,
    roi: Annotated[str | None, typer.Option(help="X,Y,SIZE in pixels; the largest centred square otherwise.")] = None,
    spot_checks: SpotChecks = 0.0,
    clear_check: Annotated[
        str | None, typer.Option(help="Network to compare with in the clear: a folder or a name.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each answer.")] = 900.0,
    background: Annotated[
        bool, typer.Option("--background", help="Ask for jobs, which survive broken connections and restarts.")
    ] = False,
    in_flight: Annotated[int, typer.Option(min=1, max=256, help="Pictures asked about at once.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line and picture.")] = False,
) -> None:
    """Predict each picture: client layers here, server layers on ciphertexts; exit 1 if one fails."""
    from cryptml_client.asking import PictureRequest, answer_pictures, read_pictures

    region = Region.parse(roi) if roi is not None else None
    expected = load_network(clear_check) if clear_check is not None else None
    request = PictureRequest(images, pictures.frames, pictures.views, region)
    stages = Stages()
    with connection.connect(stages, timeout_seconds=timeout, spot_checks=spot_checks, background=background) as client:
        asked = list(read_pictures(request, client.bundle.front_end.side, ConsoleListener()))
        readable = sum(not isinstance(each.square, ImageError) for each in asked)
        if readable:
            client.prepare()
        stages.quiet = in_flight > 1
        failed = False
        with bar("asking the service", readable) if in_flight > 1 else nullcontext((None, None)) as (shown, task):
            for found in answer_pictures(client, asked, in_flight=in_flight, expected=expected):
                if shown is not None and task is not None and not isinstance(found.asked.square, ImageError):
                    shown.advance(task)
                _report(found, json=json)
                failed = failed or not found.as_it_should_be
        if spot_checks:
            note(f"{client.spot_checks_passed} spot checks were answered as the model's bundle says")
    if failed:
        raise typer.Exit(1)


def _report(found: PictureAnswer, *, json: bool) -> None:
    document = found.to_json()
    error = document.get("error")
    if error is not None:
        document["error"] = as_options(error)
    if json:
        print_json(document)
    if error is not None:
        err.print(f"error: {as_options(error)}", style="red", markup=False, soft_wrap=True)
    elif not json:
        _show(found.asked.name, document)


def _show(name: str, result: dict[str, Any]) -> None:
    rows = [(stage.replace("_", " "), milliseconds_text(value)) for stage, value in result["timings_ms"].items()]
    rows += [("sent", bytes_text(result["upload_bytes"])), ("received", bytes_text(result["download_bytes"]))]
    rows.append(("picture", result["source"]))
    if result["matches_clear"] is not None:
        question = "the clear answer, up to rounding" if result["approximate"] else "equals the clear answer"
        rows.append((question, "yes" if result["matches_clear"] else "NO"))
    title = f"{name}: {result['label']} ({result['probability']:.3f}){_positive(result)}, split {result['split']}"
    out.print(plain_table(title, [("stage", "left"), ("", "right")], rows))


def _positive(result: dict[str, Any]) -> str:
    """Name the positive class and its probability, where the network has one."""
    if result["positive"] is None:
        return ""
    return f", probability of {result['positive']} {result['positive_probability']:.3f}"
