"""``split-profiler run``: measure every segment, compose every split, write the report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cryptml.cli.console import err, out, print_json, say
from cryptml.cli.options.groups import with_option_groups
from cryptml.cli.options.profiling import ProfileOptions
from cryptml.reports.profile import summary_table


@with_option_groups
def run_command(
    network: Annotated[str, typer.Argument(help="Folder of a trained network, or a shipped network's name.")],
    out_file: Annotated[Path, typer.Option("--out", help="The report, JSON.")],
    options: ProfileOptions,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was interrupted.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing report.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure every segment once, each in processes of its own, and compose every split from them.

    What is finished lies beside the report until it is written, so that --resume loses at most the segment in progress.
    """
    from cryptml.profiler.request import ProfileRequest, profile

    request = ProfileRequest(network, **vars(options))
    with _Shown() as progress:
        document = profile(request, out_file, progress, resume=resume, force=force)
    if json:
        print_json({"report": str(out_file), "elapsed": document["elapsed"], "fit": document["fit"]})
        return
    out.print(summary_table(document))
    say(f"report written to {out_file}; split-profiler show {out_file} lists its splits")


def _rough(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


class _Shown:
    """Segments done, elapsed and remaining on stderr; a line a change where nobody watches live."""

    def __init__(self) -> None:
        columns = (
            BarColumn(24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.description}", markup=False),
        )
        self._progress = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
        self._task = self._progress.add_task("starting", total=None, left="")
        self._last = ""

    def __enter__(self) -> _Shown:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, *, done: int, total: int, what: str, remaining_s: float | None) -> None:
        """See `cryptml.profiler.settings.SegmentProgress.update`."""
        left = "" if remaining_s is None else f"about {_rough(remaining_s)} left"
        self._progress.update(self._task, completed=done, total=total, description=what, left=left)
        if not err.is_terminal and what != self._last:
            self._last = what
            err.print(f"[{done + 1}/{total}] {what}{', ' + left if left else ''} ...", style="dim", markup=False)
