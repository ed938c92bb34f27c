"""``cryptml settings``: what a service can be told."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from cryptml.cli.console import out, print_json
from cryptml.reports.table import plain_table


def settings(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the settings of a service: variable, default, bounds, meaning. A TOML file for serve --settings takes them by name."""
    from cryptml_server.base.settings_reference import describe_settings

    found = describe_settings()
    if json:
        print_json({"settings": [asdict(each) for each in found]})
        return
    columns = [("variable", "left"), ("default", "left"), ("bounds", "left"), ("meaning", "left")]
    table: Table = plain_table(
        "Settings of a service", columns, [(each.variable, each.default, each.bounds, each.meaning) for each in found]
    )
    for column in table.columns[1:]:
        column.no_wrap = False
    out.print(table)
