"""``split-profiler compare``: what became faster, slower, feasible, infeasible."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryptml.cli.console import complain, out, print_json, say
from cryptml.errors import SettingError
from cryptml.profiler.plan.report import load_report
from cryptml.reports.comparison import compare as compare_reports
from cryptml.reports.comparison import comparison_table, regressions
from cryptml.reports.html import write_page


def compare(
    reports: Annotated[list[Path], typer.Argument(help="Two reports or more; the first is the base.")],
    fail_if_slower: Annotated[
        float | None, typer.Option(min=0, help="Percent: exit 1 if a split became slower by more, or infeasible.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the comparison as a page too.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing page.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare reports of machines, networks or versions, split by split and segment by segment."""
    if len(reports) < 2:
        raise SettingError("one report cannot be compared; give two or more")
    comparison = compare_reports([load_report(path) for path in reports])
    if json:
        print_json(comparison.to_json())
    else:
        for table in comparison_table(comparison):
            out.print(table)
    if html is not None:
        write_page(reports, html, force=force)
        if not json:
            say(f"page written to {html}")
    worse = regressions(comparison, fail_if_slower) if fail_if_slower is not None else []
    for line in worse:
        complain(line)
    if worse:
        raise typer.Exit(1)
