"""Pages of the documents that are transcripts: what is typed, what is then read, and what happens between.

A fenced block ``console`` holds commands behind ``$`` and their output. A comment before it says what its reader does besides:

- ``<!-- at every width -->``: the block changes nothing; it is run on other terminals and in a pipe too;
- ``<!-- Ctrl-C when there is FILES -->``: the last command is interrupted as soon as a file fits that pattern;
- ``<!-- Ctrl-C when "TEXT" is read -->``: it is interrupted as soon as that stands on the terminal;
- ``<!-- restart when "TEXT" is read -->``: meanwhile the command of the other terminal is ended and started again;
- ``<!-- refused -->``: the last command fails, as it shall.

A block with a title is of another terminal, whose command goes on running. A block of another language with a title is a file that the
reader saves under it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace

_FENCE = re.compile(r'^```console(?: title="(?P<title>[^"]+)")?$')
_COMMENT = re.compile(r"^<!-- (?P<text>.*) -->$")
_CTRL_C = re.compile(r'^Ctrl-C when (?:there is (?P<files>\S+)|"(?P<text>.+)" is read)$')
_RESTART = re.compile(r'^restart when "(?P<text>.+)" is read$')
_FILE = re.compile(r'^```\w+ title="(?P<title>[^"]+)"$')
EVERY_WIDTH, REFUSED = "at every width", "refused"


@dataclass(frozen=True)
class Typed:
    """A command and what its reader then reads.

    Attributes:
        command: Without the prompt.
        output: As on a terminal of 80 columns.
    """

    command: str
    output: str


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        line: Of the fence in its page, from 1.
        end: Of its last line in the page.
        typed: In this order.
        title: Of the other terminal that it is typed in; None for the first.
        everywhere: Whether it is also run in other forms.
        interrupted: Pattern of the files at which the last command is interrupted.
        interrupted_at: Text at which it is.
        restarts: Text at which the other terminal's command is started again.
        refused: Whether the last command is to fail.
    """

    line: int
    end: int
    typed: tuple[Typed, ...]
    title: str | None = None
    everywhere: bool = False
    interrupted: str | None = None
    interrupted_at: str | None = None
    restarts: str | None = None
    refused: bool = False

    def is_interrupted(self, typed: Typed) -> bool:
        """Whether a command of this block is interrupted."""
        return (self.interrupted is not None or self.interrupted_at is not None) and typed == self.typed[-1]

    def fails(self, typed: Typed) -> bool:
        """Whether a command of this block is to fail."""
        return self.is_interrupted(typed) or (self.refused and typed == self.typed[-1])


def read_blocks(text: str) -> list[Block]:
    """Return the transcript's blocks, first to last.

    Raises:
        ValueError: If a block does not end or begins with something that is no command, or a comment is not understood.
    """
    lines = text.splitlines()
    found, comments = [], [""]
    number = 0
    while number < len(lines):
        comment, fence = _COMMENT.match(lines[number]), _FENCE.match(lines[number])
        number += 1
        if comment:
            comments.append(comment["text"])
        elif fence:
            end = lines.index("```", number)
            block = Block(number, end + 1, _typed(lines[number:end], number), fence["title"])
            for each in comments[1:]:
                block = _commented(block, each)
            found.append(block)
            number, comments = end + 1, [""]
        elif lines[number - 1]:
            comments = [""]
    return found


def read_files(text: str) -> dict[str, str]:
    """Return the files that a page's reader saves, by name."""
    lines = text.splitlines()
    found = ((number, _FILE.match(line)) for number, line in enumerate(lines, 1))
    return {
        match["title"]: "\n".join(lines[number : lines.index("```", number)]) + "\n"
        for number, match in found
        if match and not _FENCE.match(match[0])
    }


def _typed(lines: list[str], number: int) -> tuple[Typed, ...]:
    if not lines or not lines[0].startswith("$ "):
        raise ValueError(f"line {number + 1}: a block begins with a command behind $")
    parts: list[list[str]] = []
    for line in lines:
        if line.startswith("$ "):
            parts.append([line[2:]])
        else:
            parts[-1].append(line)
    return tuple(Typed(*_divided(part)) for part in parts)


def _divided(part: list[str]) -> tuple[str, str]:
    """A command, which goes on behind backslashes, and its output."""
    length = next(place for place, line in enumerate(part, 1) if not line.endswith("\\"))
    return "\n".join(part[:length]), "\n".join(part[length:])


def _commented(block: Block, text: str) -> Block:
    if text == EVERY_WIDTH:
        return replace(block, everywhere=True)
    if text == REFUSED:
        return replace(block, refused=True)
    if found := _CTRL_C.match(text):
        return replace(block, interrupted=found["files"], interrupted_at=found["text"])
    if found := _RESTART.match(text):
        return replace(block, restarts=found["text"])
    raise ValueError(f"line {block.line}: the comment {text!r} says nothing that a transcript knows")


def written(text: str, blocks: list[Block]) -> str:
    """Return a page with other blocks in the places of its own."""
    lines = text.splitlines()
    for block in reversed(blocks):
        inner: list[str] = []
        for each in block.typed:
            inner += [f"$ {each.command}", *each.output.splitlines()]
        lines[block.line : block.end - 1] = inner
    return "\n".join(lines) + "\n"


# What differs from run to run and from machine to machine: names of machines, hexadecimal digits, numbers with their units, stars of the
# frontier, signs that draw.
_MACHINE = re.compile(r"^ ?machine .*?(?=^ ?when )", re.MULTILINE | re.DOTALL)
_TOKEN = re.compile(r"\b[0-9a-f]{16}\.[\w-]{20,}")
_HEXADECIMAL = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{4,}\b|(?<=\s)[0-9a-f]{4}\b(?=\s|$)")
_NUMBER = re.compile(r"-?\d[\d,.:^%-]*(?:\s?(?:ms|s|min|h|B|kB|MB|GB)\b)?")
_DRAWN = re.compile(r"[^\w\s#'\"()/.,;:=-]")


def words_of(output: str) -> Counter[str]:
    """Return what an output says, however it is wrapped, ordered and spaced, without what differs from run to run."""
    text = _MACHINE.sub("", output)
    text = _TOKEN.sub("#", text)
    text = _HEXADECIMAL.sub("#", text)
    text = _NUMBER.sub("#", text)
    text = _DRAWN.sub(" ", text)
    return Counter(word for word in text.split() if set(word) - set("#.,;:-()"))
