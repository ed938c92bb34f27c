"""``cryptml doctor``: what is wrong with a deployment, or may become so."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cryptml.cli.console import out, print_json
from cryptml.cli.options.groups import with_option_groups
from cryptml.cli.options.service import ServiceOptions
from cryptml.reports.table import plain_table

if TYPE_CHECKING:
    from cryptml_server.operations.doctor import Finding

STYLES = {"ok": "green", "warning": "yellow", "wrong": "bold red"}


@with_option_groups
def doctor(options: ServiceOptions, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Look at a deployment before it serves, or while it does: what is wrong, what may become so, and what to do.

    Takes what cryptml serve takes, as the user that serves. It leaves with code 1 where something is wrong.
    """
    from cryptml_server.operations.doctor import examine

    found = examine(options.given(), file=options.settings)
    if json:
        print_json({"findings": [asdict(each) for each in found]})
    else:
        _print_table(found)
    if any(each.state == "wrong" for each in found):
        raise typer.Exit(1)


def _print_table(found: list[Finding]) -> None:
    columns = [("check", "left"), ("state", "left"), ("what", "left"), ("what to do", "left")]
    rows = [(each.check, Text(each.state, STYLES[each.state]), each.what, each.instead or "-") for each in found]
    table = plain_table("Deployment", columns, rows)
    for column in table.columns[2:]:
        column.no_wrap = False
    out.print(table)
