"""The command ``cryptml``: one file a verb, imported when it is used."""

from __future__ import annotations

import typer

from cryptml import __version__
from cryptml.cli.clinic import bundles, keys, predict, scan
from cryptml.cli.console import out
from cryptml.cli.networks import build, datasets, evaluate, pictures, pretrain, search, train
from cryptml.cli.networks.run import run_app
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
