"""``split-profiler html``: a report as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryptml.cli.console import say
from cryptml.errors import SettingError
from cryptml.files import write_bytes
from cryptml.profiler.plan.report import load_report
from cryptml.reports.html import render_html


def html(
    report: Annotated[Path, typer.Argument(help="A report of split-profiler run.")],
    out_file: Annotated[Path, typer.Option("--out", help="The page.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a report as one self-contained page, which needs no network."""
    write_page([report], out_file, force=force)
    say(f"page written to {out_file}")


def write_page(reports: list[Path], out_file: Path, *, force: bool) -> None:
    """Write the page of one report, or of several with their comparison.

    Raises:
        SettingError: If the file exists and is not to be replaced.
        ReportError: If a report cannot be read.
    """
    if out_file.exists() and not force:
        raise SettingError(f"{out_file} exists; choose another file or pass --force to replace it")
    page = render_html([load_report(path) for path in reports])
    out_file.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out_file, page.encode())
