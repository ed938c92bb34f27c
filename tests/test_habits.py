"""What runs before a commit is what ``make lint`` runs, and what ``make check`` leaves out is what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


def of_target(name: str) -> list[str]:
    """Commands of a target of the Makefile, without the path of the environment."""
    text = (ROOT / "Makefile").read_text()
    body = re.search(rf"^{name}:.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    assert body is not None
    lines = body[1].replace('"$(CURDIR)/', '"').replace('"', "").splitlines()
    return [line.strip().removeprefix("@") for line in lines]


def test_hooks_are_the_linters_of_make() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = {each["id"]: each for each in repository["hooks"]}
    entries = {each["entry"].replace(" --force-exclude", "") for each in hooks.values()}
    assert entries == {command.removesuffix(" .") for command in of_target("lint")}
    assert repository["repo"] == "local", "the tools of .venv, at the versions that are fixed"
    for each in hooks.values():
        assert each["language"] == "system"


def test_the_hooks_are_valid() -> None:
    command = [sys.executable, "-m", "pre_commit", "validate-config", ".pre-commit-config.yaml"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_check_takes_no_circuits() -> None:
    (command,) = of_target("check")
    assert "-m not encrypted and not slow" in command.replace("'", "")
    names = re.search(r"^UNIT := ((?:.*\\\n)*.*)\n", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert names is not None
    for name in names[1].replace("\\", " ").split():
        assert (ROOT / name).exists(), name
