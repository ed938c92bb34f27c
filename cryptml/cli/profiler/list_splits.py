"""``split-profiler list``: every split of a network."""

from __future__ import annotations

from typing import Annotated

import typer

from cryptml.cli.console import out, print_json
from cryptml.networks import load_network
from cryptml.profiler.plan.listing import list_splits
from cryptml.reports.table import splits_table


def list_command(
    network: Annotated[str, typer.Argument(help="Folder of a trained network, or a shipped network's name.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List every split with its segments."""
    listing = list_splits(load_network(network))
    if json:
        print_json(listing)
    else:
        out.print(splits_table(listing))
