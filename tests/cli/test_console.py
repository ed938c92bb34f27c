"""Long work where nobody watches live: a line from time to time, with how much is done and what is left."""

from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cryptml.cli import console
from cryptml.cli.main import app
from tests.waiting import wait_for


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=stream, width=200))
    monkeypatch.setattr(console, "LINE_SECONDS", 0.05)
    return stream


def test_a_bar_is_lines(written: io.StringIO) -> None:
    with console.ConsoleListener().bar("training tiny", 10) as bar:
        wait_for(lambda: "training tiny: 0 of 10 after 0 s ..." in written.getvalue(), "a line")
        bar(5, 10, "training tiny: loss 0.500")
        wait_for(lambda: "loss 0.500: 5 of 10 after 0 s, about 0 s left ..." in written.getvalue(), "a line")
    after = written.getvalue()
    time.sleep(0.2)
    assert written.getvalue() == after, "nothing is said of what is over"


def test_a_stage_is_lines_too(written: io.StringIO) -> None:
    with console.ConsoleListener().stage("compiling"):
        wait_for(lambda: "compiling: 0 s so far ..." in written.getvalue(), "a line")
    assert written.getvalue().startswith("compiling ...\n")


def test_short_work_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=stream, width=200))
    with console.ConsoleListener().bar("x", 1) as bar:
        bar(1)
    assert stream.getvalue() == ""


def test_what_is_left_is_said_in_minutes_where_it_is_long() -> None:
    lines = console.Lines("x", 4)
    lines._began -= 600
    lines.update(None, completed=1, advance=1)
    lines.advance()
    assert re.fullmatch(r"x: 3 of 4 after 10 min, about 3 min left \.\.\.", lines.line)


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=stream, width=100, force_terminal=True))
    with console.bar("x", 2) as (progress, task):
        progress.update(task, completed=1)
    assert "x" in stream.getvalue()


@pytest.mark.parametrize("verb", ["train"])
def test_no_default_is_a_row_of_digits(verb: str) -> None:
    help_text = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "200"}).stdout
    assert "9.09" not in help_text
    assert "2^-40" in help_text
