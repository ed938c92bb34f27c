"""``split-profiler html``: a report as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryptml.cli.console import say
from cryptml.reports.html import write_page


def html(
    report: Annotated[Path, typer.Argument(help="A report of split-profiler run.")],
    out_file: Annotated[Path, typer.Option("--out", help="The page.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a report as one self-contained page, which needs no network."""
    write_page([report], out_file, force=force)
    say(f"page written to {out_file}")
