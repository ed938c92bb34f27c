"""Compares what is said with the transcripts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.first_hour.page import Block, Typed, read_blocks, read_files, words_of
from tests.first_hour.scripts import GOLDEN
from tests.first_hour.session import AWAY, OTHERS, USUAL, Ran, Session
from tests.first_hour.terminal import Form

RESUMED = " --resume"
_MET = re.compile(rf"(probability of \w+ [\d.]+(?:, of \w+ [\d.]+)?) (?:(?!probability of).)*?; {AWAY}")


def require_same(page: Path, one: Session) -> None:
    """Type a page.

    Raises:
        AssertionError: If a command fails that should not, or the other way round; if something else is said than in the transcripts, or a
            line is wider than its terminal.
    """
    transcripts = {form: _transcript(page, form) for form in (USUAL, *OTHERS)}
    found = []
    one.save(read_files(page.read_text()))
    for block in read_blocks(page.read_text()):
        for ran in one.run(block):
            written = one.as_written(ran.typed.command)
            require_status(block, ran, written)
            expected = next(transcripts[ran.form], None)
            assert expected is not None, f"the transcript {ran.form} lacks $ {written}: record it anew"
            assert expected.command == written, (
                f"the transcript {ran.form} has $ {expected.command} for $ {written}: record it anew"
            )
            found += _complaints(ran, expected.output, block.is_interrupted(expected))
    assert not found, "\n".join(found)


def require_status(block: Block, ran: Ran, written: str) -> None:
    """Check that a command ended as its block says.

    Raises:
        AssertionError: If it did not.
    """
    fails = any(block.fails(each) and each.command == written for each in block.typed)
    assert (ran.status in (None, 0)) != fails, f"$ {ran.typed.command}\n{ran.typed.output}"


def _transcript(page: Path, form: Form) -> Iterator[Typed]:
    """What was typed and read in a form."""
    text = page.read_text()
    if form != USUAL:
        text = f"```console\n{(GOLDEN / f'{page.stem}.{form}.txt').read_text()}```\n"
    return iter([each for block in read_blocks(text) for each in block.typed])


def _complaints(ran: Ran, expected: str, interrupted: bool) -> list[str]:
    said = ran.typed.output
    found = [f"too wide: {line}" for line in said.splitlines() if ran.form.terminal and len(line) > ran.form.columns]
    now, before = words_of(said), words_of(expected)
    if AWAY in " ".join(said.split()):  # what it met then is chance too
        now, before = (words_of(_MET.sub(rf"\1 {AWAY}", " ".join(text.split()))) for text in (said, expected))
    if interrupted:  # how far it had come is chance
        now, before = (words_of(text.rpartition("error: ")[2]) for text in (said, expected))
    elif RESUMED in ran.typed.command:  # and so is how much was left
        now, before = Counter(set(now)), Counter(set(before))
    if now != before:
        found.append(f"new: {sorted((now - before).elements())}; gone: {sorted((before - now).elements())}\n{said}")
    return [f"{ran.form}: $ {ran.typed.command}\n{each}" for each in found]
