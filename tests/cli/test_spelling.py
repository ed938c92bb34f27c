"""The library names attributes of requests; the command line writes them as its options."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from cryptml.cli.main import app
from cryptml.cli.spelling import NAMED, as_options, told
from cryptml.cli.split_profiler import app as profiler
from cryptml.errors import ServiceRefused, SettingError

ROOT = Path(__file__).parents[2]


def options(command: Any) -> Iterator[str]:
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    for each in getattr(command, "commands", {}).values():
        yield from options(each)


def named_in_messages() -> Iterator[tuple[str, str]]:
    """Every attribute that text of the library names, docstrings apart."""
    for package in ("cryptml", "client/cryptml_client"):
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text())
            texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts:
                    yield from ((str(path.relative_to(ROOT)), found) for found in NAMED.findall(node.value))


def test_attributes_become_options() -> None:
    assert as_options("`p_error` is 2; give `augmentation` none") == "--p-error is 2; give --augment none"
    assert as_options("a `Code` word and `two words` stay") == "a `Code` word and `two words` stay"
    assert told(SettingError("pass `force`")) == "pass --force"
    assert "`force`" in told(ServiceRefused(400, "odd", "pass `force`"))


def test_every_attribute_that_a_message_names_is_an_option() -> None:
    known = {*options(get_command(app)), *options(get_command(profiler))}
    found = list(named_in_messages())
    assert len(found) > 20
    assert [(path, name) for path, name in found if as_options(f"`{name}`") not in known] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["cryptml.cli.split_profiler", "run", "tiny", "--p-error", "2", "--rtt-ms", "-1"],
            "--p-error is 2.0, it lies between 0 and 1; --rtt-ms is -1.0, it lies",
        ),
        (["cryptml.cli.main", "build", "tiny", "--split", "auto"], "--split auto needs --report, a file of"),
    ],
)
def test_a_person_at_a_terminal_reads_options(tmp_path: Path, arguments: list[str], said: str) -> None:
    module, *rest = arguments
    program = f"import sys; from {module} import run; sys.argv = ['cryptml', *sys.argv[1:]]; run()"
    command = [sys.executable, "-c", program, *rest, "--out", str(tmp_path / "out")]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert said in found.stderr
