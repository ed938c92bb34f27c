"""The command ``cryptml``: its verbs, each in the folder of who uses it."""

from __future__ import annotations

import typer

from cryptml import __version__
from cryptml.cli.clinic import bundles, keys, pictures, predict, scan
from cryptml.cli.console import out
from cryptml.cli.networks import build, datasets, evaluate, pretrain, search, train
from cryptml.cli.requirements import require_extras
from cryptml.cli.running import run_app
from cryptml.cli.service import database, demo, doctor, serve, settings, tenants

app = typer.Typer(
    help="Private inference on split, quantised networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.add_typer(datasets.app, name="datasets")
app.command("train")(train.train)
app.command("pretrain")(pretrain.pretrain)
app.command("search")(search.search)
app.command("evaluate")(evaluate.evaluate)
app.command("build")(build.build)
app.command("serve")(serve.serve)
app.command("doctor")(doctor.doctor)
app.command("settings")(settings.settings)
app.add_typer(tenants.app, name="tenants")
app.add_typer(database.app, name="database")
app.add_typer(keys.app, name="keys")
app.add_typer(bundles.app, name="bundles")
app.command("pictures")(pictures.pictures)
app.command("predict")(predict.predict)
app.command("scan")(scan.scan)
app.command("demo")(demo.demo)
NEEDS = {
    "server": ("serve", "doctor", "settings", "tenants", "database"),
    "train": ("train", "pretrain", "search", "evaluate", "build"),
    "all": ("demo",),
}
"""Commands by the extra that they need; the others are the client's."""
require_extras(app, "cryptml", NEEDS)


def _show_version(value: bool) -> None:
    if value:
        out.print(f"cryptml {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    """Private inference on split, quantised networks."""


def run() -> None:
    """Entry point."""
    run_app(app)
