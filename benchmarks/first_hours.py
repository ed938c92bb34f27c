"""What each command of the first hours takes, from its start to its end, and the most memory of one of its processes.

``python -m benchmarks.first_hours`` types the pages of the documents that are transcripts, on a terminal of 80 columns; ``--before
REVISION`` does so with a commit's programs as well, with the packages of this environment. What a commit did not know yet is asked of it in
its own words (`OLDER`); what fails all the same is shown with its exit status.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.command_costs import trees
from benchmarks.machine import heading
from cryptml.cli.console import err, out
from cryptml.reports.table import bytes_text, plain_table
from tests.first_hour.page import Block, read_blocks, read_files
from tests.first_hour.scripts import TRANSCRIPTS, typed_alone
from tests.first_hour.session import USUAL, Ran

OLDER = (
    (" --split auto --report profile.json", " --split SSS"),
    (" --resume", ""),
)
"""What is typed now, and what was before."""

WIDEST = 70
"""Characters of a command in the table."""

PROGRAMS = {
    "cryptml": "-c 'import sys; sys.argv[0] = \"cryptml\"; from cryptml.cli.main import run; run()'",
    "split-profiler": "-c 'import sys; sys.argv[0] = \"split-profiler\"; from cryptml.cli.split_profiler import run; run()'",
    "python": "",
}


def programs(tree: Path, folder: Path) -> Path:
    """Write programs that run a tree's code into a folder."""
    folder.mkdir()
    path = os.pathsep.join(str(tree / each) for each in (".", "server", "client"))
    for name, arguments in PROGRAMS.items():
        script = folder / name
        script.write_text(
            f'#!/bin/sh\nPYTHONPATH={shlex.quote(path)} exec {shlex.quote(sys.executable)} {arguments} "$@"\n'
        )
        script.chmod(0o755)
    return folder


def older(block: Block) -> Block:
    """Return a block in the words of before; nothing of it is interrupted, because nothing was kept then."""
    typed = []
    for each in block.typed:
        command = each.command
        for now, before in OLDER:
            command = command.replace(now, before)
        typed.append(replace(each, command=command))
    return replace(block, typed=tuple(typed), everywhere=False, interrupted=None, interrupted_at=None, restarts=None)


def ran(page: Path, tree: Path, *, before: bool) -> Iterator[tuple[str, str]]:
    """Type a page, and give each command as the page has it, with what it took."""
    text = page.read_text()
    with TemporaryDirectory() as top, ExitStack() as stack:
        try:
            one = stack.enter_context(typed_alone(page, Path(top), programs(tree, Path(top) / "programs")))
        except subprocess.CalledProcessError as error:
            err.print(f"{page.stem}: {error.stderr}", markup=False)
            yield from ((each.command, "-") for block in read_blocks(text) for each in block.typed)
            return
        one.save(read_files(text))
        for block in read_blocks(text):
            if before and block.interrupted_at is not None:
                yield from ((each.command, "-") for each in block.typed)
                continue
            asked = replace(older(block) if before else block, everywhere=False)
            try:
                for typed, each in zip(block.typed, one.run(asked), strict=True):
                    yield typed.command, took(each)
            except AssertionError as error:
                err.print(f"{block.typed[0].command}: {error}", markup=False)
                yield from ((each.command, "fails") for each in block.typed)


def shortened(command: str) -> str:
    """Return a command for a table."""
    one = re.sub(r" (--server|--token-file|--dataset) \S+|PYTHONPATH=\. |\\\n *", "", command)
    return one if len(one) <= WIDEST else f"{one[: WIDEST - 4]} ..."


def took(found: Ran) -> str:
    """Return seconds and memory, and the exit status of what failed."""
    if found.status is None:
        return "serves"
    failed = "" if found.status == 0 else f", exit {found.status}"
    # A process counts what the one held that it was forked of, which is this one.
    least = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    memory = bytes_text(found.cost.peak) if found.cost.peak > 1.05 * least else f"< {bytes_text(least)}"
    return f"{found.cost.seconds:.1f} s, {memory}{failed}"


def main() -> None:
    """Print a table a page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--before", metavar="REVISION", help="a commit to measure beside the working tree")
    arguments = parser.parse_args()
    with trees(arguments.before) as of:
        for page in TRANSCRIPTS:
            columns = {name: list(ran(page, tree, before=name == arguments.before)) for name, tree in of.items()}
            rows = [
                (shortened(line[0][0]), *(each for _, each in line)) for line in zip(*columns.values(), strict=True)
            ]
            heads = [("command", "left"), *((name, "left") for name in of)]
            out.print(plain_table(f"{page.stem}, {USUAL.columns} columns; {heading()}", heads, rows))


if __name__ == "__main__":
    main()
