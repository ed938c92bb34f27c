"""``split-profiler verify``: run splits end to end over real HTTP, and print predicted against measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cryptml.cli.console import bar, err, out, print_json, say
from cryptml.errors import CircuitError, MeasurementError, ReportError, ServiceUnavailable
from cryptml.networks import load_network
from cryptml.profiler.plan.ranking import list_composed
from cryptml.profiler.plan.report import (
    MAX_LISTED_LAYERS,
    cost_model,
    link_of,
    load_report,
    require_network,
    save_report,
)
from cryptml.reports.verification import saving, verification_table, worst_and_median
from cryptml.splits import Split
from cryptml.verification.run import choose_splits, compare_with_predictions, run_split_over_http


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
    document = load_report(report)
    name = network or document["network"]["name"]
    require_network(document, name)
    trained = load_network(name)
    if record and share_keys:
        raise ReportError(
            "a report holds the verification of splits with a key set for each segment; leave out --record"
        )
    chosen = choose_splits(document, splits, frontier=frontier, count=count, share_keys=share_keys)
    results, failures = [], []
    with bar("splits", len(chosen)) as (progress, task):
        for number, letters in enumerate(chosen, start=1):
            progress.update(task, description=letters)
            if not err.is_terminal:
                err.print(f"[{number}/{len(chosen)}] {letters} ...", style="dim", markup=False)
            try:
                results.append(
                    run_split_over_http(trained, document, Split(letters), repeats, timeout, share_keys=share_keys)
                )
            except (CircuitError, MeasurementError, ServiceUnavailable) as error:
                failures.append(f"split {letters} was not run: {error}")
            progress.advance(task)
    if not results:
        raise MeasurementError("; ".join(failures))
    verification = compare_with_predictions(document, results, repeats, share_keys=share_keys)
    if record:
        save_report(report, {**document, "verification": verification})
    if json:
        print_json({**verification, "failures": failures})
    else:
        _print(document, verification, failures, share_keys=share_keys)
    if failures:
        raise typer.Exit(1)


def _print(document: dict[str, Any], verification: dict[str, Any], failures: list[str], *, share_keys: bool) -> None:
    out.print(verification_table(verification))
    lines = [*failures, *worst_and_median(verification)]
    if not share_keys and cost_model(document).layers <= MAX_LISTED_LAYERS:
        link = link_of(document, verification["bandwidth_mbps"], verification["rtt_ms"])
        lines.append(saving(document, list_composed(document, link), verification))
    for line in lines:
        say(line)
