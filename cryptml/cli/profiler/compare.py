"""``split-profiler compare``: what became faster, slower, feasible, infeasible."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryptml.cli.console import err, out, print_json
from cryptml.cli.profiler.html import write_page
from cryptml.errors import SettingError
from cryptml.profiler.report import load_report
from cryptml.reports.comparison import compare as compare_reports
from cryptml.reports.comparison import comparison_table, slower_than


def compare(
    reports: Annotated[list[Path], typer.Argument(help="Two reports or more; the first is the base.")],
    fail_if_slower: Annotated[
        float | None, typer.Option(min=0, help="Percent: exit 1 if a split became slower by more.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the comparison as a page too.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing page.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare reports of machines, networks or versions, split by split and segment by segment."""
    if len(reports) < 2:
        raise SettingError("one report cannot be compared; give two or more")
    comparison = compare_reports([load_report(path) for path in reports])
    slower = slower_than(comparison, fail_if_slower) if fail_if_slower is not None else ()
    if json:
        print_json(comparison.to_json())
    else:
        for table in comparison_table(comparison):
            out.print(table)
    if html is not None:
        write_page(reports, html, force=force)
    if slower:
        worst = max(slower, key=lambda change: change.ratio or 0.0)
        err.print(
            f"{len(slower)} splits became slower by more than {fail_if_slower:g} %, {worst.split} most: {worst.ratio:.2f} times",
            style="red",
        )
        raise typer.Exit(1)
