"""``split-profiler verify``: run splits end to end over real HTTP, and print predicted against measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptml.cli.console import ConsoleListener, out, print_json, say
from cryptml.cli.spelling import as_options
from cryptml.profiler.plan.ranking import list_composed
from cryptml.profiler.plan.report import MAX_LISTED_LAYERS, cost_model, link_of
from cryptml.reports.verification import saving, verification_table, worst_and_median

if TYPE_CHECKING:
    from cryptml.verification.verifying import Verification


def verify(
    report: Annotated[Path, typer.Argument(help="A report of split-profiler run.")],
    network: Annotated[str | None, typer.Option(help="Folder or shipped name; the report's name if not given.")] = None,
    splits: Annotated[str | None, typer.Option(help="Which, with commas.")] = None,
    frontier: Annotated[bool, typer.Option("--frontier", help="All of the frontier that need a server.")] = False,
    count: Annotated[
        int, typer.Option(min=1, max=4096, help="How many, spread over the frontier, if nothing else is said.")
    ] = 12,
    repeats: Annotated[int, typer.Option(min=1, max=1000, help="Answers of each, after a first one.")] = 3,
    timeout: Annotated[
        float, typer.Option(min=1, max=86_400, help="Seconds for preparing and for each answer.")
    ] = 1800.0,
    share_keys: Annotated[
        bool, typer.Option("--share-keys", help="With one key set for all server segments of each split.")
    ] = False,
    record: Annotated[bool, typer.Option("--record", help="Write the result into the report.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Build, serve and ask each split over HTTP on this machine; client, service and worker in processes of their own."""
    from cryptml.verification.verifying import VerificationRequest
    from cryptml.verification.verifying import verify as verify_report

    request = VerificationRequest(report, network, splits, frontier, count, repeats, timeout, share_keys, record)
    found = verify_report(request, listener=ConsoleListener())
    if json:
        print_json(found.to_json())
    else:
        _print(found)
    if found.failures:
        raise typer.Exit(1)


def _print(found: Verification) -> None:
    out.print(verification_table(found.document))
    lines = [*map(as_options, found.failures), *worst_and_median(found.document)]
    if not found.share_keys and cost_model(found.report).layers <= MAX_LISTED_LAYERS:
        link = link_of(found.report, found.document["bandwidth_mbps"], found.document["rtt_ms"])
        lines.append(saving(found.report, list_composed(found.report, link), found.document))
    for line in lines:
        say(line)
