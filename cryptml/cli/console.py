"""Where output goes: results to stdout, progress and complaints to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from cryptml.cli.spelling import as_options
from cryptml.errors import printable
from cryptml.listening import Bar

PIPED_WIDTH = 200
"""Columns where stdout is no terminal: wider than any table of ours, so that none is cut in a file or a pipe."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Write one line to stdout as it is: names of files and classes are not markup."""
    out.print(printable(text, lines=True), markup=False, soft_wrap=True)


def note(text: str) -> None:
    """Write one line to stderr that its reader is to know of, whatever is shown besides."""
    err.print(printable(text, lines=True), style="yellow", markup=False, soft_wrap=True)


def print_json(document: Any) -> None:
    """Write one JSON document on one line to stdout, whatever the terminal's width."""
    out.file.write(json.dumps(document, allow_nan=False) + "\n")
    out.file.flush()


class Stages:
    """Shows each stage with a spinner and its time; one line stays where nobody watches live.

    Attributes:
        quiet: Show nothing, for example while a bar counts many stages of one kind.
    """

    def __init__(self) -> None:
        self.quiet = False
        self._shown: tuple[Progress, TaskID] | None = None

    @contextmanager
    def stage(self, what: str) -> Iterator[None]:
        """See `cryptml_client.Progress.stage`."""
        if self.quiet:
            yield
            return
        if not err.is_terminal:
            err.print(f"{what} ...", style="dim", markup=False)
            yield
            return
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            _Portion(),
            TimeElapsedColumn(),
            console=err,
            transient=True,
        ) as progress:
            self._shown = progress, progress.add_task(what, total=None)
            try:
                yield
            finally:
                self._shown = None

    def portion(self, done: float, total: float) -> None:
        """See `cryptml_client.Progress.portion`."""
        if self._shown is not None:
            progress, task = self._shown
            progress.update(task, completed=done, total=total)


class _Portion(BarColumn):
    """A bar where it is known how much is done, nothing else."""

    def render(self, task: Task) -> Any:
        """Return what is shown."""
        return Text() if task.total is None else super().render(task)


class ConsoleListener:
    """A `cryptml.listening.Listener`: notes and bars on stderr.

    Args:
        stages: Of a client that the same work uses; they are quiet while a bar counts many of one kind.
    """

    def __init__(self, stages: Stages | None = None) -> None:
        self._stages = stages if stages is not None else Stages()

    def note(self, text: str) -> None:
        """See `Listener.note`."""
        note(as_options(text))

    def remark(self, text: str) -> None:
        """See `Listener.remark`."""
        err.print(printable(as_options(text), lines=True), style="dim", markup=False, soft_wrap=True)

    def stage(self, what: str) -> AbstractContextManager[None]:
        """See `Listener.stage`."""
        return self._stages.stage(what)

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Bar]:
        """See `Listener.bar`."""
        before, self._stages.quiet = self._stages.quiet, True
        with bar(what, total) as (progress, task):

            def advance(done: int, total: int | None = None, what: str | None = None) -> None:
                progress.update(task, completed=done, total=total, description=what)

            try:
                yield advance
            finally:
                self._stages.quiet = before


@contextmanager
def bar(what: str, total: int) -> Iterator[tuple[Progress, Any]]:
    """Show a progress bar on stderr; gives the progress and its task."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        yield progress, progress.add_task(what, total=total)
