"""Verbs are imported when they are used, and listed by what they say themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from cryptml.cli import main, split_profiler
from cryptml.cli.verbs import Verb

PROGRAMS = [main, split_profiler]


@pytest.mark.parametrize(("program", "verb"), [(each, verb) for each in PROGRAMS for verb in each.VERBS])
def test_a_summary_is_what_the_verb_says_of_itself(program: Any, verb: Verb) -> None:
    command = get_command(program.app).commands[verb.name]  # type: ignore[attr-defined]
    assert command.get_short_help_str(1000).rstrip(".") == verb.summary.rstrip(".")


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_lists_every_verb_and_imports_none(program: Any) -> None:
    script = (
        "import json, sys\nfrom typer.testing import CliRunner\n"
        f"from {program.__name__} import app\n"
        "said = CliRunner().invoke(app, ['--help'])\n"
        "print(json.dumps([said.exit_code, said.stdout, sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    code, said, modules = json.loads(done.stdout)
    assert code == 0
    assert all(f"  {verb.name} " in said for verb in program.VERBS)
    assert set(modules) & {verb.place.partition(":")[0] for verb in program.VERBS} == set()
    assert {"numpy", "torch", "concrete", "cryptml.networks"} & set(modules) == set()


def test_a_verb_imports_its_own_module_alone() -> None:
    script = (
        "import json, sys\nfrom typer.testing import CliRunner\nfrom cryptml.cli.main import app\n"
        "CliRunner().invoke(app, ['keys', '--help'])\nprint(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    modules = set(json.loads(done.stdout))
    places = {verb.place.partition(":")[0] for verb in main.VERBS}
    assert modules & places == {"cryptml.cli.clinic.keys"}
    assert {"torch", "concrete", "fastapi", "sklearn"} & modules == set()


def test_a_verb_that_there_is_none_of_is_refused_with_the_nearest() -> None:
    refused = CliRunner().invoke(main.app, ["pridict"])
    assert refused.exit_code == 2
    assert "'predict'" in refused.output
