"""The command ``cryptml``: its verbs, each in the folder of who uses it."""

from __future__ import annotations

import typer

from cryptml import __version__
from cryptml.cli.running import run_app
from cryptml.cli.verbs import Verb, create_app

ABOUT = "Private inference on split, quantised networks."

_NETWORKS, _SERVICE, _CLINIC = "cryptml.cli.networks", "cryptml.cli.service", "cryptml.cli.clinic"
VERBS = (
    Verb("datasets", f"{_NETWORKS}.datasets:app", "List the data sets and how to write them; describe one."),
    Verb(
        "train",
        f"{_NETWORKS}.train:train",
        "Train on a data set's training subset, choose the epoch by its validation subset, evaluate on its test subset.",
        "train",
    ),
    Verb(
        "pretrain",
        f"{_NETWORKS}.pretrain:pretrain",
        "Pretrain a feature extractor on synthetic scenes, and say which of their properties the features tell.",
        "train",
    ),
    Verb(
        "backbones",
        f"{_NETWORKS}.backbones:app",
        "Install, list and remove public networks in ONNX files, which client and provider both hold.",
    ),
    Verb(
        "search",
        f"{_NETWORKS}.search:search",
        "Search widths, windows, strides, bits, rounding and pruning for the most accurate networks within a time budget.",
        "train",
    ),
    Verb(
        "evaluate",
        f"{_NETWORKS}.evaluate:evaluate",
        "Judge a network on a data set: AUC with a 95 % bootstrap interval, sensitivities, calibration, confusion matrix.",
        "train",
    ),
    Verb(
        "build",
        f"{_NETWORKS}.build:build",
        "Compile the server segments of a split and write client/ and server/.",
        "train",
    ),
    Verb(
        "serve",
        f"{_SERVICE}.serve:serve",
        "Serve bundles over HTTP until told to end; prints the address once its workers have tried every circuit and it listens.",
        "server",
    ),
    Verb(
        "doctor",
        f"{_SERVICE}.doctor:doctor",
        "Look at a deployment before it serves, or while it does: what is wrong, what may become so, and what to do.",
        "server",
    ),
    Verb(
        "settings",
        f"{_SERVICE}.settings:settings",
        "List the settings of a service: variable, default, bounds, meaning.",
        "server",
    ),
    Verb("tenants", f"{_SERVICE}.tenants:app", "Add, list and revoke those who may ask a service.", "server"),
    Verb("database", f"{_SERVICE}.database:app", "Keep a service's database in this version's form.", "server"),
    Verb("keys", f"{_CLINIC}.keys:app", "Make, list, encrypt and delete this client's keys."),
    Verb("bundles", f"{_CLINIC}.bundles:app", "List and forget accepted models; show a bundle's digest."),
    Verb(
        "pictures",
        f"{_CLINIC}.pictures:pictures",
        "List the pictures of a study by side and view, with their frames, and say which cannot be read; exit 1 if one cannot.",
    ),
    Verb(
        "predict",
        f"{_CLINIC}.predict:predict",
        "Predict each picture: client layers here, server layers on ciphertexts; exit 1 if one fails.",
    ),
    Verb(
        "scan",
        f"{_CLINIC}.scan:scan",
        "Ask about every square that shows the breast at least by half; with --everywhere about all, for pictures that are no mammograms.",
    ),
    Verb(
        "demo",
        f"{_SERVICE}.demo:demo",
        "Start a service, ask it about a real mammogram that it never sees, compare with the clear answer, stop everything.",
        "all",
    ),
)
app = create_app("cryptml", VERBS, ABOUT)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"cryptml {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    """Private inference on split, quantised networks."""


def run() -> None:
    """Entry point."""
    run_app(app)
