"""Commands in documents exist, with every option that is written there; those of README and tutorials are run as well."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from cryptml.cli.main import app as cryptml
from cryptml.cli.split_profiler import app as split_profiler
from tests.documents.document_blocks import Block, read_blocks

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PROGRAMS: dict[str, Any] = {"cryptml": get_command(cryptml), "split-profiler": get_command(split_profiler)}
PARTS = re.compile(r"\$\(|[|;()]|&&")
"""What stands between two commands."""

BEFORE = re.compile(r"^\s*(?:sudo -u \w+ )?(?:\w+=\S* )*")
"""What may stand before one."""


def written(text: str) -> Iterator[list[str]]:
    """Commands of ours in a shell block, in words."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in PARTS.split(line.partition(" #")[0]):
            words = shlex.split(BEFORE.sub("", part).replace('"', " ").replace("'", " "))
            if words and Path(words[0]).name in PROGRAMS:
                yield [Path(words[0]).name, *words[1:]]


def typed(block: Block) -> str:
    """What is typed of a block: of a transcript, the lines behind a prompt."""
    if block.language == "sh":
        return block.text
    return "".join(line[2:] for line in block.text.splitlines(keepends=True) if line.startswith("$ "))


def described(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words begin with, and the words behind its name."""
    command, rest = PROGRAMS[words[0]], words[1:]
    while getattr(command, "commands", None):
        assert rest, f"{shlex.join(words)} names no command"
        if rest[0] not in command.commands:
            assert getattr(command, "invoke_without_command", False), f"there is no command {shlex.join(words)}"
            break
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_their_options_exist(path: Path) -> None:
    for block in read_blocks(path):
        if block.language in {"sh", "console"}:
            for words in written(typed(block)):
                command, rest = described(words)
                options = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
                asked = {word.partition("=")[0] for word in rest if word.startswith("--")} - {"--help"}
                assert asked <= options, f"{block}: {shlex.join(words)} has no {sorted(asked - options)}"


def test_commands_are_found_in_a_block() -> None:
    text = 'A=1 cryptml predict x \\\n  --json "$(cryptml bundles digest b | tail -n 1)"\n. activate  # cryptml no\n'
    assert [words[:3] for words in written(text)] == [["cryptml", "predict", "x"], ["cryptml", "bundles", "digest"]]
