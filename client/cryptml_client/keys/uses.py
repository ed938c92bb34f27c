"""Which services hold the evaluation half of which keys: so that keys have names for people, and are deleted there too."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptml.errors import KeySetError
from cryptml.files import parse_json, read_bounded, to_json_bytes, write_bytes

FILE = "key-uses.json"
SCHEMA = "key-uses.schema.json"
LOCK = ".key-uses.lock"
MAX_FILE_BYTES = 1 << 20
MOST_USES = 1000


@dataclass(frozen=True)
class KeyUse:
    """A service that got a key set's evaluation half, or a part of it.

    Attributes:
        key_set: The key set's name.
        evaluation_keys: Digest of the evaluation half, its name at the service.
        service: Its address.
        model: Its name there.
        segment: Index of a server segment that the keys are for, as the service's paths have it.
        since: When it was first to get them, ISO 8601, UTC.
    """

    key_set: str
    evaluation_keys: str
    service: str
    model: str
    segment: int
    since: str = ""


class KeyUses:
    """The file of uses beside the keys; readable by its owner alone, and nothing in it is secret.

    Args:
        folder: Of the keys.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE

    def entries(self) -> list[KeyUse]:
        """Return all uses, in the order in which they began.

        Raises:
            KeySetError: If the file is damaged.
        """
        if not self.file.exists():
            return []
        data = read_bounded(self.file, MAX_FILE_BYTES, KeySetError)
        document = parse_json(data, SCHEMA, f"the file of key uses {self.file}", KeySetError)
        return [KeyUse(**entry) for entry in document["uses"]]

    def note(self, use: KeyUse) -> None:
        """Write a use down, unless it is there; the oldest of `MOST_USES` is forgotten.

        Raises:
            KeySetError: If the file is damaged or cannot be written.
        """
        if use in _undated(self.entries()):
            return
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._alone():
            every = self.entries()
            if use not in _undated(every):
                self._write([*every, replace(use, since=now)][-MOST_USES:])

    def forget(self, gone: Sequence[KeyUse]) -> None:
        """Remove uses that are none any more.

        Raises:
            KeySetError: As `note`.
        """
        if gone:
            with self._alone():
                self._write([each for each in self.entries() if each not in gone])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other programs from writing between a look at the file and its change."""
        try:
            with (self.file.parent / LOCK).open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise KeySetError(f"{self.file} cannot be written ({error.strerror}); let the folder be written") from error

    def _write(self, uses: Sequence[KeyUse]) -> None:
        document = {"format": "cryptml-key-uses", "format_version": 1, "uses": [vars(each) for each in uses]}
        write_bytes(self.file, to_json_bytes(document), mode=0o600)


def _undated(uses: Sequence[KeyUse]) -> list[KeyUse]:
    return [replace(each, since="") for each in uses]
