"""``split-profiler list``: every split of a network."""

from __future__ import annotations

from typing import Annotated

import typer

from cryptml.cli.console import out, print_json
from cryptml.errors import SettingError
from cryptml.networks import load_network
from cryptml.profiler.plan.listing import list_splits
from cryptml.reports.table import splits_table

MAX_LISTED_LAYERS = 20


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
