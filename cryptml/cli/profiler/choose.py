"""``split-profiler choose``: the fastest split that keeps the constraints, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryptml.cli.console import out, print_json, say
from cryptml.cli.profiler.wire import Bandwidth, RoundTrip
from cryptml.profiler.plan.choice import Choice, Constraints, choosable
from cryptml.profiler.plan.choice import choose as choose_split
from cryptml.profiler.plan.report import link_of, load_report
from cryptml.reports.profile import WIDE, exclusion_table, profile_table

MaxLatency = Annotated[float | None, typer.Option(help="Of one answer.")]
MaxClientMemory = Annotated[float | None, typer.Option(help="Peak of the client's process, 10^6 bytes.")]
MaxServerMemory = Annotated[float | None, typer.Option(help="Peak of the server's worker, 10^6 bytes.")]
MaxBytes = Annotated[float | None, typer.Option(help="Ciphertext up and down, one answer.")]
KeepSecret = Annotated[str | None, typer.Option(help="Layers, with commas, that a client must not learn.")]
Queries = Annotated[int, typer.Option(min=1, help="What a client may ask, for --keep-secret.")]
MaxRoundTrips = Annotated[int | None, typer.Option(help="Encrypted exchanges of one answer.")]


def choose(
    report: Annotated[Path, typer.Argument(help="A report of split-profiler run.")],
    max_latency_ms: MaxLatency = None,
    max_client_memory_mb: MaxClientMemory = None,
    max_server_memory_mb: MaxServerMemory = None,
    max_bytes: MaxBytes = None,
    keep_secret: KeepSecret = None,
    queries: Queries = 1_000_000,
    max_round_trips: MaxRoundTrips = None,
    bandwidth_mbps: Bandwidth = None,
    rtt_ms: RoundTrip = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the fastest split that keeps every constraint, and why; exit 1 where none does, with the nearest miss."""
    constraints = Constraints(
        max_latency_ms=max_latency_ms,
        max_client_memory_mb=max_client_memory_mb,
        max_server_memory_mb=max_server_memory_mb,
        max_bytes=max_bytes,
        max_round_trips=max_round_trips,
        keep_secret=parse_layers(keep_secret),
        queries=queries,
    )
    document = load_report(report)
    link = link_of(document, bandwidth_mbps, rtt_ms)
    choice = choose_split(document, choosable(document, link, constraints), constraints)
    if json:
        print_json(choice.to_json())
    else:
        if choice.split is not None:
            out.print(profile_table(document, [choice.split], link, wide=out.width >= WIDE, title="Chosen"))
        out.print(exclusion_table(choice))
        explain(choice)
    if choice.split is None:
        raise typer.Exit(1)


def parse_layers(text: str | None) -> tuple[str, ...]:
    """Return the names in a list with commas."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def explain(choice: Choice) -> None:
    """Say in words why a split was chosen, or what came nearest."""
    for reason in choice.reasons:
        say(reason)
    if choice.split is None and choice.nearest is not None:
        say(f"no split keeps every constraint; the nearest miss is {choice.nearest['split']}:")
        for name, words in choice.excess.items():
            say(f"  {name}: {words}")
