"""The command ``split-profiler``."""

from __future__ import annotations

import typer

from cryptml.cli.profiler import audit, choose, compare, html, list_splits, show, verify
from cryptml.cli.profiler import run as run_verb
from cryptml.cli.requirements import require_extras
from cryptml.cli.running import run_app

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


app.command("list")(list_splits.list_command)
app.command("run")(run_verb.run_command)
app.command("show")(show.show)
app.command("choose")(choose.choose)
app.command("verify")(verify.verify)
app.command("audit")(audit.audit)
app.command("compare")(compare.compare)
app.command("html")(html.html)
NEEDS = {"train": ("run", "audit"), "all": ("verify",)}
"""Commands by the extra that they need; the others read what these wrote."""
require_extras(app, "split-profiler", NEEDS)


def run() -> None:
    """Entry point."""
    run_app(app)
