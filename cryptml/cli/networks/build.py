"""``cryptml build``: compile a split and write its bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptml.cli.console import ConsoleListener, out, print_json, remark, say
from cryptml.cli.options.building import BuildOptions
from cryptml.cli.options.choosing import ConstraintOptions
from cryptml.cli.options.groups import with_option_groups
from cryptml.cli.options.link import Bandwidth, RoundTrip

if TYPE_CHECKING:
    from cryptml.building import Built


@with_option_groups
def build(
    network: Annotated[str, typer.Argument(help="Folder of a trained network, or a shipped network's name.")],
    out_folder: Annotated[Path, typer.Option("--out", help="New folder for the bundle.")],
    constraints: ConstraintOptions,
    options: BuildOptions,
    split: Annotated[
        str | None, typer.Option(help="C or S for each layer, or auto; a shipped network has a default.")
    ] = None,
    bandwidth_mbps: Bandwidth = None,
    rtt_ms: RoundTrip = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compile the server segments of a split and write client/ and server/.

    With --report, segments get the compiler settings that were measured to be best. With --split auto as well, the split is what
    split-profiler choose chooses under the same constraints.
    """
    from cryptml.building import BuildRequest
    from cryptml.building import build as build_split

    request = BuildRequest(
        network,
        split,
        constraints=constraints.constraints(),
        bandwidth_mbps=bandwidth_mbps,
        rtt_ms=rtt_ms,
        **vars(options),
    )
    built = build_split(request, out_folder, force=force, listener=ConsoleListener())
    if json:
        bundle = built.bundle
        print_json(
            {
                "bundle": str(out_folder),
                "model": bundle.model,
                "split": bundle.split,
                "digest": bundle.digest,
                "circuits": list(bundle.circuits),
            }
        )
    else:
        _print(built, spot_checks=options.spot_checks)


def _print(built: Built, *, spot_checks: int) -> None:
    from cryptml.bundle.manifest import grouped
    from cryptml.reports.table import circuits_table, network_table

    out.print(network_table(built.network, built.split))
    out.print(circuits_table(built.bundle.circuits))
    if built.spot_checks is not None:
        say(
            f"{built.spot_checks} spot checks: every client gets {built.spot_checks} answers of the network, as so many queries would "
            "give it"
        )
    elif spot_checks and built.bundle.circuits:
        say("no spot checks: the network gives no defined answer about synthetic regions")
    say(f"bundle written to {built.folder}; the digest that clinics compare:\n{grouped(built.bundle.digest)}")
    if built.split.server_segments:
        remark(f"next: cryptml tenants add NAME gives a clinic its token, cryptml serve {built.folder} answers")
