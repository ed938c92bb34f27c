"""Where output goes: results to stdout, progress and complaints to stderr."""

from __future__ import annotations

import json
import sys
import threading
import time
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

LINE_SECONDS = 30.0
"""Between two lines about long work, where stderr is no terminal."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False)


def say(text: str, style: str = "none") -> None:
    """Write one line to stdout as it is: names of files and classes are not markup."""
    _write(out, Text(printable(text, lines=True)), style)


def note(text: str) -> None:
    """Write one line to stderr that its reader is to know of, whatever is shown besides."""
    _write(err, Text(printable(text, lines=True)), "yellow")


def remark(text: str) -> None:
    """Write one line to stderr that its reader may pass over."""
    _write(err, Text(printable(text, lines=True)), "dim")


def complain(text: str) -> None:
    """Write one line to stderr about what went wrong."""
    _write(err, Text("error: ", "bold red") + Text(printable(text, lines=True), "default"), "none")


def _write(console: Console, text: Text, style: str) -> None:
    # On one terminal both go through one console: only that one moves a bar that it shows out of the way.
    shared = err if out.is_terminal and err.is_terminal else console
    # A terminal breaks lines within words, which a person should not have to read; in a pipe a line stays one line.
    shared.print(text, style=style, soft_wrap=not console.is_terminal)


def print_json(document: Any) -> None:
    """Write one JSON document on one line to stdout, whatever the terminal's width."""
    out.file.write(json.dumps(document, allow_nan=False) + "\n")
    out.file.flush()


class Lines:
    """In a bar's place where nobody watches live: a line from time to time, whether anything is heard or not.

    Args:
        what: Is done.
        total: Steps; None where they are not known.
    """

    def __init__(self, what: str, total: float | None = None) -> None:
        self._what, self._done, self._total = what, 0.0, total
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._speak, daemon=True)

    def __enter__(self) -> Lines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def update(
        self,
        _task: object = None,
        *,
        completed: float | None = None,
        total: float | None = None,
        advance: float | None = None,
        description: str | None = None,
    ) -> None:
        """Hear of steps, as `rich.progress.Progress.update` does."""
        self._what = self._what if description is None else description
        self._total = self._total if total is None else total
        self._done = (self._done if completed is None else completed) + (advance or 0)

    def advance(self, _task: object = None, advance: float = 1) -> None:
        """Hear of further steps, as `rich.progress.Progress.advance` does."""
        self._done += advance

    @property
    def line(self) -> str:
        """What is done, how much of it, and about how long the rest takes."""
        passed = time.monotonic() - self._began
        if not self._total:
            return f"{self._what}: {_span(passed)} so far ..."
        left = f", about {_span(passed / self._done * (self._total - self._done))} left" if self._done else ""
        return f"{self._what}: {self._done:g} of {self._total:g} after {_span(passed)}{left} ..."

    def _speak(self) -> None:
        while not self._over.wait(LINE_SECONDS):
            remark(self.line)


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


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
            with Lines(what):
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
        remark(as_options(text))

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
def bar(what: str, total: int) -> Iterator[tuple[Any, Any]]:
    """Show a progress bar on stderr, or `Lines` where that is no terminal; gives the progress and its task."""
    if not err.is_terminal:
        with Lines(what, total) as lines:
            yield lines, 0
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        yield progress, progress.add_task(what, total=total)
