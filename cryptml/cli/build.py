"""``cryptml build``: compile a split and write its bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryptml.cli.console import Stages, out, print_json, say
from cryptml.networks import load_network
from cryptml.networks.shipped import DEFAULT_SPLITS
from cryptml.reports.table import bytes_text, network_table, plain_table
from cryptml.splits import Split


def build(
    network: Annotated[str, typer.Argument(help="Folder of a trained network, or a shipped network's name.")],
    out_folder: Annotated[Path, typer.Option("--out", help="New folder for the bundle.")],
    split: Annotated[str | None, typer.Option(help="C or S for each layer; a shipped network has a default.")] = None,
    backend: Annotated[str, typer.Option(help="integer or concrete-ml.")] = "integer",
    architecture: Annotated[
        str | None, typer.Option(help="module:function of a network of your own, which concrete-ml imports and runs.")
    ] = None,
    p_error: Annotated[float, typer.Option(help="Probability that one table lookup fails.")] = 2.0**-40,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compile the server segments of a split and write client/ and server/."""
    from cryptml.bundle.build import build_bundle
    from cryptml.fhe.backends.registry import load_backend

    trained = load_network(network)
    chosen = Split(split if split is not None else DEFAULT_SPLITS.get(network, "S" * len(trained))).require_length(
        len(trained)
    )
    with Stages().stage(f"compiling {len(chosen.server_segments)} server segments of {trained.name}, split {chosen}"):
        bundle = build_bundle(
            trained,
            chosen,
            out_folder,
            backend=load_backend(backend, network, architecture),
            p_error=p_error,
            force=force,
        )
    if json:
        print_json(
            {"bundle": str(out_folder), "model": bundle.model, "split": bundle.split, "circuits": list(bundle.circuits)}
        )
        return
    out.print(network_table(trained, chosen))
    rows = [
        (
            f"{circuit['start']}-{circuit['stop']}",
            f"{circuit['bootstraps']:,}",
            str(circuit["lookup_bits"]),
            f"2^{_log2(circuit['p_error']):.1f}",
            "0" if not circuit["bootstraps"] else f"2^{_log2(circuit['failure_probability']):.1f}",
            bytes_text(circuit["evaluation_key_bytes"]),
            bytes_text(circuit["input_bytes"]),
            bytes_text(circuit["output_bytes"]),
        )
        for circuit in bundle.circuits
    ]
    columns = [
        ("segment", "left"),
        ("lookups", "right"),
        ("bits", "right"),
        ("p_error", "right"),
        ("fails", "right"),
        ("keys", "right"),
        ("up", "right"),
        ("down", "right"),
    ]
    out.print(plain_table("Server segments", columns, rows))
    say(f"bundle written to {out_folder}")


def _log2(value: float) -> float:
    from math import log2

    return log2(value)
