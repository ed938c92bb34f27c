"""Long work where nobody watches live: a line from time to time, with how much is done and what is left."""

from __future__ import annotations

import io
import os
import re
import sys
import time
from pathlib import Path

import pytest
from cryptml_server.operations.administration import administered
from rich.console import Console
from typer.testing import CliRunner

from cryptml.cli import console
from cryptml.cli.main import app
from tests.first_hour.terminal import Form, Running
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


SHELL = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
"""As a terminal begins one; pytest-xdist sets a width."""

PROGRAM = """
from cryptml.cli.console import bar, note, say
with bar("asking", 3) as (progress, task):
    for number in range(3):
        say(f"answer {number}: a line of words that is longer than a narrow terminal is wide")
        progress.advance(task)
note("all is said now, and that in whole words, however narrow the terminal may be")
"""


@pytest.mark.parametrize("columns", [40, 60])
def test_on_a_terminal_words_stay_whole_and_a_bar_leaves_nothing(columns: int, tmp_path: Path) -> None:
    running = Running(f"{sys.executable} -c '{PROGRAM}'", Form(columns), tmp_path, SHELL)
    assert running.finish() == 0
    lines = running.text.splitlines()
    assert all(len(line) <= columns for line in lines)
    said = " ".join(" ".join(lines).split())
    assert said.startswith("answer 0: a line of words that is longer than a narrow terminal is wide answer 1: ")
    assert said.endswith("however narrow the terminal may be")
    assert "asking" not in said


def test_in_a_pipe_a_line_stays_one_line(tmp_path: Path) -> None:
    running = Running(f"{sys.executable} -c '{PROGRAM}'", Form(80, terminal=False), tmp_path, SHELL)
    assert running.finish() == 0
    assert running.text.splitlines()[0] == "answer 0: a line of words that is longer than a narrow terminal is wide"


def test_lists_with_nothing_in_them_say_so(tmp_path: Path) -> None:
    with administered(tmp_path, None, new=True, notify=lambda _: None):
        pass
    for arguments, words in (
        (["keys", "list", "--keys", str(tmp_path)], "no keys in"),
        (["tenants", "list", "--data", str(tmp_path)], "no tenants yet"),
        (["bundles", "list", "--keys", str(tmp_path)], "no model was accepted yet"),
    ):
        result = CliRunner().invoke(app, arguments)
        assert words in " ".join(result.output.split()), (result.output, result.exception)


def test_groups_say_whole_what_their_commands_do() -> None:
    for group in ("tenants", "keys", "bundles", "database", "datasets"):
        said = CliRunner().invoke(app, [group, "--help"]).output
        assert re.search(r"[a-z]\.\.\.$", said, re.MULTILINE) is None, said
        assert "completion" not in said
