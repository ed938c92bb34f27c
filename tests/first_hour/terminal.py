"""Runs typed commands on a terminal of a given width, or into a pipe, and says what a person then reads."""

from __future__ import annotations

import fcntl
import os
import pty
import shlex
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyte

from tests.waiting import wait_for

COMMAND_SECONDS = 300.0
LINES = 500
"""Of a terminal: more than a command here writes, so that nothing is scrolled away."""


@dataclass(frozen=True)
class Form:
    """Where output goes.

    Attributes:
        columns: Of the terminal.
        terminal: False for a pipe, as into a file or another program.
    """

    columns: int
    terminal: bool = True

    def __str__(self) -> str:
        return f"terminal-{self.columns}" if self.terminal else "pipe"


@dataclass(frozen=True)
class Cost:
    """What a command took.

    Attributes:
        seconds: From its start to its end.
        peak: Bytes of memory, of the largest of its processes.
    """

    seconds: float
    peak: int


class Running:
    """A command that was typed; a person reads `text` while it runs.

    Args:
        command: For bash.
        form: Where its output goes.
        folder: Where it runs.
        environment: Of the shell.

    Attributes:
        status: Its exit status, below 0 for a signal; None while it runs.
        cost: Known when it has ended.
    """

    def __init__(self, command: str, form: Form, folder: Path, environment: Mapping[str, str]) -> None:
        self.status: int | None = None
        self.cost = Cost(0.0, 0)
        self._form = form
        self._screen = pyte.Screen(form.columns, LINES)
        self._stream = pyte.ByteStream(self._screen)
        self._raw, self._lock = b"", threading.Lock()
        if form.terminal:
            self._end, far = pty.openpty()
            fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 50, form.columns, 0, 0))
            # The first terminal that a session's leader opens is its own: Ctrl-C there reaches what it runs.
            command = f"exec 0<>{shlex.quote(os.ttyname(far))} 1>&0 2>&0\n{command}"
        else:
            self._end, far = os.pipe()
        began = time.monotonic()
        self._process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=folder,
            env={**environment, "TERM": "xterm-256color"},
            stdin=subprocess.DEVNULL,
            stdout=far,
            stderr=far,
            start_new_session=True,
        )
        os.close(far)
        self._threads = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._wait, args=(began,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def text(self) -> str:
        """What stands there, without spaces at the ends of lines."""
        with self._lock:
            if not self._form.terminal:
                return self._raw.decode(errors="replace").rstrip()
            return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def type(self, keys: str) -> None:
        """Press keys; only on a terminal."""
        os.write(self._end, keys.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C, or send what it would; nothing where it has ended."""
        if self.status is not None:
            return
        if self._form.terminal:
            self.type("\x03")
        else:
            os.killpg(self._process.pid, signal.SIGINT)

    def wait_for(self, seen: Callable[[], object], what: str) -> None:
        """Wait until something is so.

        Raises:
            AssertionError: If the command ends before, or it is not so within `COMMAND_SECONDS`.
        """
        wait_for(lambda: seen() or self.status is not None, what, seconds=COMMAND_SECONDS)
        assert seen(), f"it ended before {what}:\n{self.text}"

    def finish(self) -> int:
        """Wait for its end, and return its exit status."""
        try:
            wait_for(lambda: self.status is not None, "the command to end", seconds=COMMAND_SECONDS)
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}:\n{self.text}") from None
        self._threads[0].join(10)
        return self.status or 0

    def kill(self) -> None:
        """End all of it at once."""
        if self.status is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._threads[1].join(10)

    def _wait(self, began: float) -> None:
        _, status, used = os.wait4(self._process.pid, 0)
        self.cost = Cost(time.monotonic() - began, used.ru_maxrss * 1024)
        self.status = self._process.returncode = os.waitstatus_to_exitcode(status)

    def _read(self) -> None:
        while True:
            try:
                got = os.read(self._end, 65536)
            except OSError:  # nobody holds the terminal's other end
                got = b""
            if not got and self.status is not None:
                break
            if not got:  # closing this end while the command ends would hang it up
                time.sleep(0.01)
                continue
            with self._lock:
                self._raw += got
                if self._form.terminal:
                    self._stream.feed(got)
        os.close(self._end)
