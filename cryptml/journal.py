"""What a long run has found so far, on disk after every step: a killed run goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptml.errors import JournalError
from cryptml.files import read_bounded

MAX_JOURNAL_BYTES = 64 << 20


class Journal:
    """Lines of JSON beside the result: a head that says what is done, then one entry a step. Only its owner can read it.

    Args:
        path: Of the journal.
        head: What is done and how; entries of another head are never mixed in.
        resume: Whether an existing journal is read and continued.

    Raises:
        JournalError: If there is a journal and ``resume`` is not asked for, or it was made for something else.
    """

    def __init__(self, path: Path, head: Mapping[str, Any], *, resume: bool) -> None:
        self._path = path
        self._head = json.loads(json.dumps(head))
        self.entries: dict[str, Any] = {}
        if path.exists():
            if not resume:
                raise JournalError(
                    f"{path} holds an unfinished run; pass --resume to continue it, or delete it to begin again"
                )
            self._read()
        else:
            self._append(self._head)

    def get(self, name: str) -> Any:
        """Return what was recorded under a name, None where nothing was."""
        return self.entries.get(name)

    def record(self, name: str, value: Any) -> None:
        """Write an entry; it is on disk when this returns."""
        self.entries[name] = value
        self._append({"name": name, "value": value})

    def remove(self) -> None:
        """Delete the journal: the result holds everything."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        lines = read_bounded(self._path, MAX_JOURNAL_BYTES, JournalError).split(b"\n")
        whole, broken = lines[:-1], lines[-1]  # a line that a kill cut short has no end
        try:
            documents = [json.loads(line) for line in whole]
            if not documents:  # killed before even its head was whole
                self._path.unlink()
                self._append(self._head)
                return
            head = documents[0]
            if not isinstance(head, dict):
                raise TypeError(type(head).__name__)
            self.entries = {entry["name"]: entry["value"] for entry in documents[1:]}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise JournalError(f"{self._path} is damaged; delete it to begin again") from error
        if head != self._head:
            differing = sorted(key for key in {*head, *self._head} if head.get(key) != self._head.get(key))
            raise JournalError(
                f"{self._path} belongs to a run with other {', '.join(differing)}; "
                "repeat that run's options with --resume, or delete the file to begin again"
            )
        if broken:
            os.truncate(self._path, sum(len(line) + 1 for line in whole))

    def _append(self, value: Any) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as stream:
            stream.write(json.dumps(value, allow_nan=False).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
