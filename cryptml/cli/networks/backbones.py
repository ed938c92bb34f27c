"""``cryptml backbones``: public networks in ONNX files, installed by whoever runs them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptml.cli.console import ConsoleListener, out, print_json, remark, say
from cryptml.cli.verbs import create_group

if TYPE_CHECKING:
    from cryptml.networks.backbones import InstalledBackbone

app = create_group("Install, list and remove public networks in ONNX files, which client and provider both hold.")


@app.command("install")
def install(
    file: Annotated[Path, typer.Argument(help="ONNX file, with all weights inside.")],
    name: Annotated[str | None, typer.Option(help="For this machine; after the file if not given.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check an ONNX file and keep a copy: networks that read pictures through it can then be trained, and asked, here.

    Take it from whoever publishes it, never from a service. Its operators are those of ONNX, without loops and chance; it runs in a
    limited process, on this machine alone.
    """
    from cryptml.networks.backbones import BackboneStore

    with ConsoleListener().stage(f"checking {file.name}"):
        found = BackboneStore().install(file, name)
    if json:
        print_json(asdict(found))
        return
    say(f"backbone {found.name} is installed: {_taken(found)}, {found.parameters:,} weights")
    say(f"digest: {found.digest}")
    remark(f"next: cryptml train --network onnx:{found.name} --dataset DATASET --out NETWORK trains a head behind it")


@app.command("list")
def show(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List what is installed."""
    from cryptml.networks.backbones import BackboneStore
    from cryptml.reports.table import plain_table

    found = BackboneStore().installed()
    if json:
        print_json([asdict(each) for each in found])
        return
    if not found:
        say("no backbone is installed; cryptml backbones install FILE.onnx adds one")
        return
    columns = [("name", "left"), ("takes", "left"), ("weights", "right"), ("digest", "left")]
    rows = [(each.name, _taken(each), f"{each.parameters:,}", f"{each.digest[:16]}...") for each in found]
    out.print(plain_table("Backbones", columns, rows))


@app.command("remove")
def remove(name: Annotated[str, typer.Argument(help="Name or digest, as cryptml backbones list shows them.")]) -> None:
    """Remove one: networks that read pictures through it cannot be asked here any more."""
    from cryptml.networks.backbones import BackboneStore

    store = BackboneStore()
    found = store.find(name)
    store.remove(found.digest)
    say(f"backbone {found.name} ({found.digest[:16]}...) is removed")


def _taken(found: InstalledBackbone) -> str:
    side = "any side" if found.side is None else f"{found.side} x {found.side}"
    return f"{side}, {'grey' if found.channels == 1 else 'three colours'}"
