"""``cryptml datasets``: what can be trained on."""

from __future__ import annotations

from typing import Annotated

import typer

from cryptml.cli.console import out, print_json
from cryptml.datasets import describe_datasets
from cryptml.reports.table import plain_table


def datasets(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the data sets and how to write them."""
    rows = describe_datasets()
    if json:
        print_json([{"name": name, "form": form, "description": description} for name, form, description in rows])
        return
    table = plain_table("Data sets", [("name", "left"), ("written as", "left"), ("what it is", "left")], rows)
    table.columns[2].no_wrap = False
    out.print(table)
