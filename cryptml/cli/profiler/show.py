"""``split-profiler show``: the splits of a report, sorted, for any link."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from cryptml.cli.console import out, print_json, say
from cryptml.cli.options.link import Bandwidth, RoundTrip
from cryptml.errors import ReportError
from cryptml.profiler.plan.ranking import ORDERS, list_composed, ordered
from cryptml.profiler.plan.report import MAX_LISTED_LAYERS, link_of, load_report
from cryptml.reports.compiler_settings import compiler_settings_reasons, compiler_settings_table
from cryptml.reports.profile import WIDE, key_sets_table, profile_table, summary_table

Sort = Enum("Sort", {each: each for each in ORDERS}, type=str)  # type: ignore[misc]
"""What the rows are ordered by, smallest first."""

FASTEST = Sort("latency")


def show(
    report: Annotated[Path, typer.Argument(help="A report of split-profiler run.")],
    bandwidth_mbps: Bandwidth = None,
    rtt_ms: RoundTrip = None,
    sort: Annotated[Sort, typer.Option(help="Order of the rows.")] = FASTEST,
    frontier: Annotated[
        bool, typer.Option("--frontier", help="Only splits that no other beats in everything.")
    ] = False,
    keys: Annotated[
        bool, typer.Option("--keys", help="What one key set for all server segments costs beside one for each.")
    ] = False,
    settings: Annotated[
        bool, typer.Option("--settings", help="The compiler settings of each segment: what was tried, taken, and why.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show every split: composed anew for the given link, never measured again."""
    document = load_report(report)
    if settings:
        _show_settings(document, json=json)
        return
    link = link_of(document, bandwidth_mbps, rtt_ms)
    entries = ordered(list_composed(document, link), sort.value)
    if frontier:
        entries = [entry for entry in entries if entry["on_frontier"]]
    if json:
        print_json({"bandwidth_mbps": link.bandwidth_mbps, "rtt_ms": link.rtt_ms, "splits": entries})
        return
    if keys:
        out.print(key_sets_table(entries))
        say(
            "one set wins: for how many answers of a client it takes less time, setup included; ~ estimated, at least in part"
        )
        say(
            "mem S: peak memory of the server; splits with fewer than two segments with bootstraps have nothing to share"
        )
        return
    out.print(summary_table(document))
    out.print(profile_table(document, entries, link, wide=out.width >= WIDE))
    say("* on the frontier of latency, server memory and exposed parameters")
    say("exposed: parameters that the client holds, or recovers from answers with a known number of queries")
    if not frontier and len(document["network"]["layers"]) > MAX_LISTED_LAYERS:
        say(f"above {MAX_LISTED_LAYERS} layers only the frontier is listed")


def _show_settings(document: dict[str, Any], *, json: bool) -> None:
    entries = [
        {"start": entry["start"], "stop": entry["stop"], **entry["server"]["settings"]}
        for entry in document["segments"]
        if entry["server"].get("settings")
    ]
    if json:
        print_json({"settings": entries})
        return
    if not entries:
        raise ReportError(
            "the report holds no compiler settings: nothing on the server has bootstraps, or it is older; profile again"
        )
    out.print(compiler_settings_table(document))
    for line in compiler_settings_reasons(document):
        say(line)
