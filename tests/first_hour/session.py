"""Somebody who types what a page says, in a folder and with a home of their own."""

from __future__ import annotations

import os
import re
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.first_hour.page import Block, Typed
from tests.first_hour.terminal import Cost, Form, Running

PORT = "8000"
"""Of services in the pages; a free one is taken in its place."""

SERVES = "at http://"
"""What a service says that is ready."""

AWAY = "the service is waited for"
"""What a client says whose service is not there, behind what it met."""

_DELETED = re.compile(r"(?<=^cryptml keys delete )[0-9a-f]{8}")
_KEY_SET = re.compile(r"key set\s+([0-9a-f]{8})")
QUESTION = re.compile(r"\[y/N\]: (\w+)$", re.MULTILINE)
USUAL = Form(80)
OTHERS = (Form(60), Form(120), Form(80, terminal=False))


@dataclass(frozen=True)
class Ran:
    """A command as it was run.

    Attributes:
        typed: With what was read now.
        form: Where.
        status: Its exit status; None if it still runs.
        cost: What it took.
    """

    typed: Typed
    form: Form
    status: int | None
    cost: Cost


class Session:
    """Types blocks.

    Args:
        folder: Empty, but for what the page takes as given.
        programs: Folder of the installation's programs.
        port: Of a service that runs already; a free one, for services of the page, if not given.
    """

    def __init__(self, folder: Path, programs: Path, port: int | None = None) -> None:
        self.folder = folder
        self._key_set = ""
        self._written: dict[str, str] = {}
        self._others: dict[str, tuple[str, Running]] = {}
        self.port = port or _free_port()
        # Short, so that lines are broken as they are for a person, and not within a long path.
        self._home = tempfile.TemporaryDirectory()
        # Not measured: what these commands run, tests of their own run too.
        kept = ("PATH", "LANG", "LC_ALL", "TMPDIR", "OMP_NUM_THREADS", "PYTHONPATH")
        self.environment = {name: os.environ[name] for name in kept if name in os.environ}
        self.environment |= {
            "HOME": self._home.name,
            "PATH": f"{programs}{os.pathsep}{self.environment['PATH']}",
            "CRYPTML_DRAIN_SECONDS": "1",
        }

    def serve(self, command: str) -> None:
        """Begin a service that is given, and leave it running."""
        self._leave_running("given", Typed(command, ""))

    def save(self, files: Mapping[str, str]) -> None:
        """Save files that the page shows, by name."""
        for name, text in files.items():
            (self.folder / name).write_text(self._here(text))

    def run(self, block: Block) -> Iterator[Ran]:
        """Type a block's commands, and those that change nothing in all forms."""
        for place, typed in enumerate(block.typed):
            last = place == len(block.typed) - 1
            if block.title is not None:
                yield self._leave_running(block.title, typed)
            else:
                yield self._type(typed, USUAL, block if last else Block(block.line, block.end, ()))
        if block.everywhere:
            for form in OTHERS:
                for typed in block.typed:
                    yield self._type(typed, form, block)

    def as_written(self, command: str) -> str:
        """Return how the page has a command that was typed with another key set's name."""
        return self._written.get(command, command)

    def close(self) -> None:
        """End what still runs."""
        for _, running in self._others.values():
            running.interrupt()
        for _, running in self._others.values():
            running.finish()
        self._home.cleanup()

    def _start(self, command: str, form: Form) -> Running:
        return Running(self._here(command), form, self.folder, self.environment)

    def _here(self, text: str) -> str:
        return re.sub(rf"\b{PORT}\b", str(self.port), text)

    def _read(self, running: Running) -> str:
        text = re.sub(rf"\b{self.port}\b", PORT, running.text)
        return text.replace(self.environment["HOME"], "~").replace(str(self.folder), "~/hour")

    def _type(self, typed: Typed, form: Form, block: Block) -> Ran:
        typed = replace(
            typed, command=_DELETED.sub(self._key_set, typed.command)
        )  # as a person copies it from the list
        running = self._start(typed.command, form)
        try:
            for answer in QUESTION.findall(typed.output):
                running.wait_for(lambda: running.text.endswith("[y/N]:"), "its question")
                running.type(f"{answer}\n")
            if block.interrupted is not None:
                files = block.interrupted
                running.wait_for(lambda: list(self.folder.glob(files)), f"there is {files}")
                running.interrupt()
            if block.interrupted_at is not None:
                at = block.interrupted_at
                running.wait_for(lambda: at in running.text, f"it says {at!r}")
                running.interrupt()
            if block.restarts is not None:
                text = block.restarts
                running.wait_for(lambda: text in running.text, f"it says {text!r}")
                ended = [(title, self._end(title)) for title in list(self._others)]
                running.wait_for(lambda: AWAY in " ".join(running.text.split()), f"it says {AWAY!r}")
                for title, command in ended:
                    self._leave_running(title, Typed(command, ""))
            status = running.finish()
        finally:
            running.kill()
        if found := _KEY_SET.search(running.text):
            self._key_set = found[1]
        return Ran(replace(typed, output=self._read(running)), form, status, running.cost)

    def _leave_running(self, title: str, typed: Typed) -> Ran:
        if title in self._others:
            self._end(title)
        running = self._start(typed.command, USUAL)
        self._others[title] = (typed.command, running)
        running.wait_for(lambda: SERVES in running.text, "it serves")
        return Ran(replace(typed, output=self._read(running)), USUAL, None, running.cost)

    def _end(self, title: str) -> str:
        command, running = self._others.pop(title)
        running.interrupt()
        running.finish()
        return command


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def session(folder: Path, programs: Path, port: int | None = None) -> Iterator[Session]:
    """A session that leaves nothing running."""
    one = Session(folder, programs, port)
    try:
        yield one
    finally:
        one.close()
