"""The command ``split-profiler``."""

from __future__ import annotations

from typing import Annotated

import typer

from cryptml.cli.console import out, print_json
from cryptml.cli.networks.run import run_app
from cryptml.cli.profiler import audit, choose, compare, html, show, verify
from cryptml.cli.profiler import run as run_verb
from cryptml.errors import SettingError
from cryptml.networks import load_network
from cryptml.profiler.plan.listing import list_splits
from cryptml.reports.table import splits_table

MAX_LISTED_LAYERS = 20

app = typer.Typer(
    help="Look at every way to divide a network between client and server.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def main() -> None:
    """Look at every way to divide a network between client and server."""


@app.command("list")
def list_command(
    network: Annotated[str, typer.Argument(help="Folder of a trained network, or a shipped network's name.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List every split with its segments."""
    trained = load_network(network)
    if len(trained) > MAX_LISTED_LAYERS:
        raise SettingError(
            f"network {trained.name!r} has 2^{len(trained)} splits, too many to list; at most 2^{MAX_LISTED_LAYERS}"
        )
    listing = list_splits(trained)
    if json:
        print_json(listing)
    else:
        out.print(splits_table(listing))


app.command("run")(run_verb.run_command)
app.command("show")(show.show)
app.command("choose")(choose.choose)
app.command("verify")(verify.verify)
app.command("audit")(audit.audit)
app.command("compare")(compare.compare)
app.command("html")(html.html)


def run() -> None:
    """Entry point."""
    run_app(app)
