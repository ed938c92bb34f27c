"""The folder of an unfinished training: what it is of, and the state of each of its trainings in a row."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from cryptml.errors import JournalError
from cryptml.files import MAX_JSON_BYTES, parse_json, read_bounded, sha256, to_json_bytes, write_bytes
from cryptml.training.checkpoints.state import Tensors

SCHEMA = "training-checkpoint.schema.json"
STATE_FILE = "state.json"
MAX_STATE_BYTES = 1 << 30
"""Of one training's tensors."""

SUFFIX = ".unfinished"
EVERY_SECONDS = 5.0
"""Between two checkpoints, if epochs are shorter; what was not written is written when the training is interrupted."""

_AGAIN = "delete the folder to begin again"


def unfinished_folder(out: Path) -> Path:
    """Return where an unfinished training of a result is kept: beside it."""
    return out.absolute().with_name(out.absolute().name + SUFFIX)


class Checkpoints:
    """The states of trainings that follow each other in the same order whenever they are repeated.

    One process at a time has the folder. Tensors are written first and then named, with their digest, in the JSON file, so that a
    crash leaves the state before or the state after.

    Args:
        folder: Made where it is missing, for its owner alone.
        resume: Whether what is there is gone on with.
        every: Seconds between two checkpoints.

    Raises:
        JournalError: If an unfinished training is there and ``resume`` is not asked for, it is damaged, or another process has it.
        OSError: If the folder cannot be made or written.
    """

    def __init__(self, folder: Path, *, resume: bool, every: float | None = None) -> None:
        self.folder = folder
        self._every = EVERY_SECONDS if every is None else every
        self._head: Mapping[str, Any] = {}
        self._fits: list[dict[str, Any]] = []
        self._begun = 0
        self._pending: Slot | None = None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._take_lock()
            self._found = self._read() if (folder / STATE_FILE).exists() else None
            if self._found is not None and not resume:
                raise JournalError(
                    f"{folder} holds an unfinished training; pass `resume` to go on with it, or {_AGAIN}"
                )
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def found(self) -> bool:
        """Whether an unfinished training was there."""
        return self._found is not None

    @property
    def epochs(self) -> int:
        """Epochs that are on disk, of all trainings together."""
        return sum(each["epochs"] for each in self._fits)

    @property
    def trainings(self) -> int:
        """Trainings of which epochs are on disk."""
        return sum(each["epochs"] > 0 for each in self._fits)

    def begin(self, head: Mapping[str, Any]) -> None:
        """Say what is trained; what was found must be of the same.

        Args:
            head: JSON values by name.

        Raises:
            JournalError: If it is not, with what differs.
        """
        self._head = head
        if self._found is None:
            return
        there = self._found["head"]
        differing = [
            f"{name} ({str(there.get(name))[:60]}, here {str(head.get(name))[:60]})"
            for name in {**head, **there}
            if there.get(name) != head.get(name)
        ]
        if differing:
            raise JournalError(
                f"{self.folder} is of a training with other {', '.join(differing[:5])}; repeat that training's options with "
                f"`resume`, or {_AGAIN}"
            )
        self._fits = self._found["fits"]

    def next(self) -> Slot:
        """Return the place of the training that begins now."""
        self._begun += 1
        return Slot(self, self._begun - 1)

    def load(self, number: int) -> Tensors | None:
        """Return the state of a training; None where it has not begun.

        Raises:
            JournalError: If its file is missing, altered or damaged.
        """
        if number >= len(self._fits):
            return None
        entry = self._fits[number]
        data = read_bounded(self.folder / entry["file"], MAX_STATE_BYTES, JournalError)
        if sha256(data) != entry["sha256"]:
            raise JournalError(f"{entry['file']} in {self.folder} is not as it was written; {_AGAIN}")
        try:
            return load(data)
        except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise JournalError(f"{entry['file']} in {self.folder} is not a safetensors file; {_AGAIN}") from error

    def write(self, number: int, epochs: int, tensors: Tensors) -> None:
        """Put a training's state on disk.

        Raises:
            OSError: If it cannot be written; the state before stays.
        """
        data = save(_apart(tensors))
        file = f"fit-{number}.{epochs}.safetensors"
        entry = {"file": file, "sha256": sha256(data), "epochs": epochs}
        write_bytes(self.folder / file, data, mode=0o600)
        before = self._fits[number]["file"] if number < len(self._fits) else file
        self._fits = [*self._fits[:number], entry]
        document = {
            "format": "cryptml-training-checkpoint",
            "format_version": 1,
            "head": dict(self._head),
            "fits": self._fits,
        }
        write_bytes(self.folder / STATE_FILE, to_json_bytes(document), mode=0o600)
        if before != file:
            (self.folder / before).unlink(missing_ok=True)

    def keep(self, slot: Slot) -> None:
        """Remember what is to be written when the training is interrupted."""
        self._pending = slot

    @property
    def every(self) -> float:
        """Seconds between two checkpoints."""
        return self._every

    def interrupted(self) -> int:
        """Write what is not on disk yet, and return how many epochs are kept."""
        if self._pending is not None:
            self._pending.flush()
        return self.epochs

    def close(self) -> None:
        """Let go of the folder, and remove it where nothing is in it."""
        if not (self.folder / STATE_FILE).exists():
            self._empty()
        os.close(self._lock)

    def remove(self) -> None:
        """Delete it: the result holds everything, or nothing will come of it."""
        (self.folder / STATE_FILE).unlink(missing_ok=True)
        self._fits = []
        self._pending = None

    def _empty(self) -> None:
        for left in self.folder.glob("fit-*.safetensors"):
            left.unlink(missing_ok=True)
        try:
            self.folder.rmdir()
        except OSError:  # something else is in it, which is not ours to delete
            return

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise JournalError(f"another process is at work on {self.folder}; wait for it, or stop it") from error

    def _read(self) -> dict[str, Any]:
        path = self.folder / STATE_FILE
        data = read_bounded(path, MAX_JSON_BYTES, JournalError)
        try:
            return parse_json(data, SCHEMA, str(path), JournalError)
        except JournalError as error:
            raise JournalError(f"{error}; {_AGAIN}") from error


class Slot:
    """The place of one training among those that follow each other.

    Args:
        checkpoints: All of them; None where nothing is kept.
        number: From 0.
    """

    def __init__(self, checkpoints: Checkpoints | None, number: int = 0) -> None:
        self._checkpoints, self._number = checkpoints, number
        self._latest: tuple[int, Tensors] | None = None
        self._written = time.monotonic()

    def load(self) -> Tensors | None:
        """Return where the training was; None where it begins."""
        return None if self._checkpoints is None else self._checkpoints.load(self._number)

    def keep(self, epochs: int, take: Callable[[], Tensors], *, ended: bool) -> None:
        """Keep what an epoch has come to; on disk at the end, and from time to time before.

        Raises:
            OSError: If it cannot be written.
        """
        if self._checkpoints is None:
            return
        self._latest = epochs, take()
        self._checkpoints.keep(self)
        if ended or time.monotonic() - self._written >= self._checkpoints.every:
            self.flush()

    def flush(self) -> None:
        """Put on disk what is not there yet."""
        if self._checkpoints is not None and self._latest is not None:
            self._checkpoints.write(self._number, *self._latest)
            self._latest, self._written = None, time.monotonic()


_KEEPING: ContextVar[Checkpoints | None] = ContextVar("checkpoints", default=None)


@contextmanager
def keeping(checkpoints: Checkpoints) -> Iterator[None]:
    """Let every training within the block keep its state there."""
    token = _KEEPING.set(checkpoints)
    try:
        yield
    finally:
        _KEEPING.reset(token)


def next_slot() -> Slot:
    """Return the place of the training that begins now."""
    checkpoints = _KEEPING.get()
    return Slot(None) if checkpoints is None else checkpoints.next()


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of which no two share memory: of a module that a network uses twice, both names hold the same."""
    seen: set[int] = set()
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        found[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return found
