"""Fenced blocks of a document, and a folder in which they are run in order, as a reader would."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BLOCK_SECONDS = 300.0
START_SECONDS = 120.0
PORT = "8000"
"""Of services in documents; a free one is taken in its place."""

SERVES = re.compile(r"^cryptml serve ", re.MULTILINE)
"""Begins a command that the reader leaves running in a second terminal."""

_FENCE = re.compile(r"^ *```(?P<language>\w*)(?P<rest>.*)$")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: File name of its document.
        line: Of the fence, from 1.
        language: Behind the fence; empty if none.
        title: Name of the file that the reader shall save it as, if any.
        text: What is in it.
    """

    page: str
    line: int
    language: str
    title: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def read_blocks(path: Path) -> list[Block]:
    """All fenced blocks of a document, first to last."""
    found: list[Block] = []
    opened: tuple[int, str, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        fence = _FENCE.match(line)
        if fence and opened is None:
            opened, lines = (number, fence["language"], fence["rest"]), []
        elif fence and opened is not None:
            start, language, rest = opened
            title = re.search(r'title="([^"]+)"', rest)
            found.append(Block(path.name, start, language, title[1] if title else None, "\n".join(lines) + "\n"))
            opened = None
        else:
            lines.append(line)
    assert opened is None, f"{path.name}: the block of line {opened} does not end"
    return found


class Reader:
    """Runs blocks in a folder of its own, with a home of its own.

    Args:
        folder: Empty, but for what the document takes as given.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.services: list[subprocess.Popen[str]] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = str(free.getsockname()[1])
        home = folder / ".home"
        home.mkdir()
        # Not measured either: what these commands run, tests of their own run too.
        left_out = ("CRYPTML_", "COVERAGE_")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        self.environment |= {
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "data"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "CRYPTML_DRAIN_SECONDS": "1",
        }

    def run(self, block: Block) -> None:
        """Do with a block what its reader would: save it, run it, or leave it running."""
        text = re.sub(rf"\b{PORT}\b", self.port, block.text)
        if block.title is not None:
            (self.folder / block.title).write_text(text)
        elif block.language == "sh" and SERVES.search(text):
            self._serve(block, text)
        elif block.language == "sh":
            self._finish(block, ["bash", "-euo", "pipefail", "-c", text])
        elif block.language == "python":
            self._finish(block, [sys.executable, "-c", text])

    def _finish(self, block: Block, command: list[str]) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BLOCK_SECONDS,
            check=False,
        )
        assert done.returncode == 0, (
            f"{block} ends with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        )

    def _serve(self, block: Block, text: str) -> None:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", f"exec {text.strip()}"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.services.append(process)
        said: list[str] = []
        threading.Thread(target=lambda: said.extend(process.stdout or ()), daemon=True).start()
        deadline = time.monotonic() + START_SECONDS
        while not any(f"at http://127.0.0.1:{self.port}" in line for line in said):
            assert process.poll() is None, f"{block} ended:\n{''.join(said)}"
            assert time.monotonic() < deadline, f"{block} does not serve:\n{''.join(said)}"
            time.sleep(0.1)

    def close(self) -> None:
        """End the services."""
        for process in self.services:
            process.terminate()
        for process in self.services:
            _wait_or_kill(process)


def _wait_or_kill(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def reader(folder: Path) -> Iterator[Reader]:
    """A reader whose services end with it."""
    one = Reader(folder)
    try:
        yield one
    finally:
        one.close()
