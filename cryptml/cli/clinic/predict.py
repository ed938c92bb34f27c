"""``cryptml predict``: ask a service about pictures that it never sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryptml.cli.console import Stages, bar, err, note, out, print_json
from cryptml.cli.options.acceptance import SpotChecks
from cryptml.cli.options.connection import ConnectionOptions
from cryptml.cli.options.groups import with_option_groups
from cryptml.cli.options.pictures import PictureOptions
from cryptml.cli.spelling import told
from cryptml.errors import CryptmlError, ImageError, RangeError
from cryptml.images import FrameChoice, Image, Region, central_region, crop, load_frames
from cryptml.networks import FloatArray, IntArray, Network, load_network
from cryptml.networks.rounding.clamping import within_bins
from cryptml.networks.rounding.envelope import split_envelope
from cryptml.reports.table import bytes_text, milliseconds_text, plain_table
from cryptml.splits import Segment, Split

if TYPE_CHECKING:
    from cryptml_client import Client, Prediction


@dataclass(frozen=True)
class _Asked:
    """One picture to ask about.

    Attributes:
        file: That holds it.
        frame: Of the file, from 1; None where the file holds one picture, or one was made of several.
        square: float32 (side, side); or why there is none.
        source: How the picture was encoded; empty where there is none.
    """

    file: Path
    frame: int | None
    square: FloatArray | ImageError
    source: str = ""

    @property
    def name(self) -> str:
        """For people."""
        return self.file.name if self.frame is None else f"{self.file.name}, frame {self.frame}"


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
    region = Region.parse(roi) if roi is not None else None
    expected = load_network(clear_check) if clear_check is not None else None
    choice = pictures.choice
    stages = Stages()
    with connection.connect(stages, timeout_seconds=timeout, spot_checks=spot_checks, background=background) as client:
        side = client.bundle.front_end.side
        asked = [each for path in images for each in _read(path, pictures, choice, region, side)]
        squares = [each.square for each in asked if not isinstance(each.square, ImageError)]
        if squares:
            client.prepare()
        stages.quiet = in_flight > 1
        answers = client.predict_regions(squares, in_flight=in_flight) if squares else iter(())
        failed = False
        with bar("asking the service", len(squares)) if in_flight > 1 else nullcontext((None, None)) as (shown, task):
            for each in asked:
                outcome = each.square if isinstance(each.square, ImageError) else next(answers)
                if shown is not None and task is not None and outcome is not each.square:
                    shown.advance(task)
                failed = not _report(each, outcome, client, expected, json=json) or failed
        if spot_checks:
            note(f"{client.spot_checks_passed} spot checks were answered as the model's bundle says")
    if failed:
        raise typer.Exit(1)


def _read(
    path: Path, pictures: PictureOptions, choice: FrameChoice | None, region: Region | None, side: int
) -> Iterator[_Asked]:
    """Return the pictures that are meant by a path, each as the (side, side) pixels to ask about, or why there are none."""
    try:
        files = pictures.files(path)
    except ImageError as error:
        yield _Asked(path, None, error)
        return
    for file in files:
        yield from _read_file(file, choice, region, side)


def _read_file(file: Path, choice: FrameChoice | None, region: Region | None, side: int) -> Iterator[_Asked]:
    try:
        for frame, picture in load_frames(file, choice):
            yield _Asked(file, frame, _square(picture, region, side), picture.source)
    except ImageError as error:
        yield _Asked(file, None, error)


def _square(picture: Image, region: Region | None, side: int) -> FloatArray | ImageError:
    try:
        return crop(picture, region or central_region(picture), side)
    except ImageError as error:
        return error


def _report(
    asked: _Asked, outcome: Prediction | CryptmlError, client: Client, expected: Network | None, *, json: bool
) -> bool:
    """Show what came of one picture, and return whether it is what it should be.

    Raises:
        CryptmlError: If it failed for a reason that the next one would fail for too.
    """
    if isinstance(outcome, CryptmlError):
        if not isinstance(outcome, (ImageError, RangeError)):
            raise outcome
        _report_failure(asked, outcome, json=json)
        return False
    result = {
        "image": str(asked.file),
        "frame": asked.frame,
        "source": asked.source,
        **outcome.to_json(),
        "approximate": any(step.circuit.approximate for step in client.bundle.server_steps),
        "matches_clear": None,
    }
    if expected is not None and not isinstance(asked.square, ImageError):
        try:
            result["matches_clear"] = matches_clear(
                expected, asked.square, client.bundle.split, outcome.answer.integers
            )
        except RangeError as error:
            _report_failure(asked, error, json=json)
            return False
    _show(asked.name, result, json=json)
    return result["matches_clear"] is not False


def matches_clear(network: Network, square: FloatArray, split: Split, answer: IntArray) -> bool:
    """Return whether decrypted (classes,) integers are the network's in the clear, up to what approximate rounding may change.

    Raises:
        RangeError: If a table clamps the picture's values, so that there is no right answer to compare with.
    """
    values = network.quantise(square[None])
    if not within_bins(network, values, Segment(0, len(network)))[0]:
        raise RangeError(
            "the picture lies too far from what the network was calibrated for: there is no right answer to compare with"
        )
    return split_envelope(network, split, values).holds(answer[None])


def _report_failure(asked: _Asked, error: CryptmlError, *, json: bool) -> None:
    if json:
        print_json({"image": str(asked.file), "frame": asked.frame, "error": told(error)})
    err.print(f"error: {told(error)}", style="red", markup=False, soft_wrap=True)


def _show(name: str, result: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(result)
        return
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
