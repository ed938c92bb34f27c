"""``cryptml predict``: ask a service about pictures that it never sees."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cryptml.cli.console import Stages, err, out, print_json
from cryptml.cli.credentials import PassphraseFile, TokenFile, read_passphrase, read_token
from cryptml.errors import CryptmlError, ImageError, RangeError
from cryptml.images import Image, Region, central_region, crop, load_image
from cryptml.networks import IntArray, Network, load_network
from cryptml.networks.clamping import within_bins
from cryptml.networks.envelope import split_envelope
from cryptml.reports.table import bytes_text, milliseconds_text, plain_table
from cryptml.splits import Segment, Split


def predict(
    images: Annotated[list[Path], typer.Argument(help="DICOM, PNG or PGM files.")],
    server: Annotated[str, typer.Option(help="Address of the service, such as http://127.0.0.1:8000.")],
    roi: Annotated[str | None, typer.Option(help="X,Y,SIZE in pixels; the largest centred square otherwise.")] = None,
    model: Annotated[str | None, typer.Option(help="Its name there, where there are several.")] = None,
    keys: Annotated[Path | None, typer.Option(help="Folder of the keys.")] = None,
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    clear_check: Annotated[
        str | None, typer.Option(help="Network to compare with in the clear: a folder or a name.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each answer.")] = 900.0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line and picture.")] = False,
) -> None:
    """Predict each picture: client layers here, server layers on ciphertexts; exit 1 if one fails."""
    from cryptml_client import Client, KeyStore

    region = Region.parse(roi) if roi is not None else None
    expected = load_network(clear_check) if clear_check is not None else None
    failed = False
    with Client(
        server,
        model=model,
        keys=KeyStore(keys, read_passphrase(passphrase_file)),
        timeout_seconds=timeout,
        token=read_token(token_file),
        progress=Stages(),
    ) as client:
        for path in images:
            try:
                picture = load_image(path)
                square = crop(picture, region or central_region(picture), client.bundle.front_end.side)
            except ImageError as error:
                failed = True
                _report_failure(path, error, json=json)
                continue
            try:
                prediction = client.predict_region(square)
                rounded = any(step.circuit.approximate for step in client.bundle.server_steps)
                result = {
                    "image": str(path),
                    **prediction.to_json(),
                    "approximate": rounded,
                    "matches_clear": None,
                }
                if expected is not None:
                    result["matches_clear"] = matches_clear(
                        expected, picture, region, client.bundle.split, prediction.answer.integers
                    )
                    failed = failed or not result["matches_clear"]
            except RangeError as error:
                failed = True
                _report_failure(path, error, json=json)
                continue
            _show(result, json=json)
    if failed:
        raise typer.Exit(1)


def matches_clear(network: Network, picture: Image, region: Region | None, split: Split, answer: IntArray) -> bool:
    """Return whether decrypted (classes,) integers are the network's in the clear, up to what approximate rounding may change.

    Raises:
        RangeError: If a table clamps the picture's values, so that there is no right answer to compare with.
    """
    square = crop(picture, region or central_region(picture), network.front_end.side)
    values = network.quantise(square[None])
    if not within_bins(network, values, Segment(0, len(network)))[0]:
        raise RangeError(
            "the picture lies too far from what the network was calibrated for: there is no right answer to compare with"
        )
    return split_envelope(network, split, values).holds(answer[None])


def _report_failure(path: Path, error: CryptmlError, *, json: bool) -> None:
    if json:
        print_json({"image": str(path), "error": str(error)})
    err.print(f"error: {error}", style="red", markup=False, soft_wrap=True)


def _show(result: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(result)
        return
    rows = [(stage.replace("_", " "), milliseconds_text(value)) for stage, value in result["timings_ms"].items()]
    rows += [("sent", bytes_text(result["upload_bytes"])), ("received", bytes_text(result["download_bytes"]))]
    if result["matches_clear"] is not None:
        question = "the clear answer, up to rounding" if result["approximate"] else "equals the clear answer"
        rows.append((question, "yes" if result["matches_clear"] else "NO"))
    title = f"{Path(result['image']).name}: {result['label']} ({result['probability']:.3f}), split {result['split']}"
    out.print(plain_table(title, [("stage", "left"), ("", "right")], rows))
