"""What a long run has found so far, on disk after every step: a killed run goes on where it was."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from cryptml.errors import JournalError

MAX_JOURNAL_BYTES = 64 << 20
PRIVATE = 0o600


class Journal:
    """Lines of JSON beside the result: a head that says what is done, then one entry a step.

    Its owner alone can read it, and one process at a time has it open.

    Args:
        path: Of the journal.
        head: What is done and how; entries of another head are never mixed in.
        resume: Whether an existing journal is read and continued.

    Raises:
        JournalError: If there is a journal and ``resume`` is not asked for, it was made for something else, is damaged, or another
            process has it open.
    """

    def __init__(self, path: Path, head: Mapping[str, Any], *, resume: bool) -> None:
        self._path = path
        self._head = json.loads(json.dumps(head))
        self.entries: dict[str, Any] = {}
        self._file = self._open()
        try:
            content = self._lock_and_read()
            if content and not resume:
                raise JournalError(
                    f"{path} holds an unfinished run; pass `resume` to continue it, or delete it to begin again"
                )
            self._continue(content)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def get(self, name: str) -> Any:
        """Return what was recorded under a name, None where nothing was."""
        return self.entries.get(name)

    def record(self, name: str, value: Any) -> None:
        """Write an entry; it is on disk when this returns.

        Raises:
            JournalError: If it cannot be written, for example because the disk is full.
        """
        self._write(self._line({"name": name, "value": value}))
        self.entries[name] = value

    def close(self) -> None:
        """Let another process have the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def remove(self) -> None:
        """Delete the journal: the result holds everything."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            return os.open(self._path, flags, PRIVATE)
        except OSError as error:
            raise JournalError(
                f"{self._path} cannot be opened ({error.strerror}); choose another place for the result"
            ) from error

    def _lock_and_read(self) -> bytes:
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            raise JournalError(f"{self._path} is no plain file; choose another place for the result")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise JournalError(f"another process is at work on {self._path}; wait for it, or stop it") from error
        os.fchmod(self._file, PRIVATE)
        size = os.fstat(self._file).st_size
        if size > MAX_JOURNAL_BYTES:
            raise JournalError(
                f"{self._path} has {size} bytes, more than {MAX_JOURNAL_BYTES}; delete it to begin again"
            )
        return os.pread(self._file, size, 0)

    def _continue(self, content: bytes) -> None:
        """Take over the entries of an earlier run; begin where there are none."""
        head_line = self._line(self._head)
        if head_line.startswith(content) and len(content) < len(head_line):  # killed before even its head was whole
            os.ftruncate(self._file, 0)
            self._write(head_line)
            return
        lines = content.split(b"\n")
        whole, broken = lines[:-1], lines[-1]  # a line that a kill cut short has no end
        try:
            head, *entries = [json.loads(line) for line in whole]
            if not isinstance(head, dict):
                raise TypeError(type(head).__name__)
            self.entries = {entry["name"]: entry["value"] for entry in entries}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise JournalError(f"{self._path} is damaged; delete it to begin again") from error
        if head != self._head:
            differing = sorted(key for key in {*head, *self._head} if head.get(key) != self._head.get(key))
            raise JournalError(
                f"{self._path} belongs to a run with other {', '.join(differing)}; "
                "repeat that run's options with `resume`, or delete the file to begin again"
            )
        if broken:
            os.ftruncate(self._file, sum(len(line) + 1 for line in whole))

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError as error:
            raise JournalError(
                f"{self._path} cannot be written ({error.strerror}); `resume` goes on from there once it can"
            ) from error

    @staticmethod
    def _line(value: Any) -> bytes:
        return json.dumps(value, allow_nan=False).encode() + b"\n"
