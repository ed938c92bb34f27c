"""``cryptml pretrain``: the deep front end's weights, from nothing but a seed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryptml.cli.console import ConsoleListener, out, print_json, say
from cryptml.networks.front_ends.deep import STEPS


def pretrain(
    out_file: Annotated[Path, typer.Option("--out", help="New safetensors file for the weights.")],
    steps: Annotated[int, typer.Option(min=10, max=1_000_000, help="Of 128 new scenes each.")] = STEPS,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of weights and scenes.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Pretrain a feature extractor on synthetic scenes, and say which of their properties the features tell.

    No data set is read. The package's own weights came of this command with the defaults; other weights are for a version of your own,
    whose networks and clients must all have them.
    """
    from cryptml.reports.table import plain_table
    from cryptml.training.teachers.pretraining import pretrain_to

    written = pretrain_to(out_file, steps, seed, force=force, listener=ConsoleListener())
    if json:
        print_json(written.to_json())
        return
    rows = [(name.replace("_", " "), f"{share:.0%}") for name, share in written.explained.items()]
    out.print(plain_table("What the features tell of a scene", [("property", "left"), ("told", "right")], rows))
    whose = "those" if written.as_in_the_package else "not those"
    say(f"weights {written.digest[:12]}..., {whose} of the package, written to {out_file}")
