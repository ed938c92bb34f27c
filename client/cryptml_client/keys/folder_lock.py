"""One writer at a time in a folder of keys."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptml.errors import KeySetError

LOCK_SECONDS = 60.0
"""For which another program that writes into the folder is waited for."""


@contextmanager
def locked_folder(folder: Path, seconds: float = LOCK_SECONDS) -> Iterator[bool]:
    """Keep others from writing into the folder.

    Args:
        folder: Of keys.
        seconds: For which one that does is waited for.

    Yields:
        Whether that is so: not where somebody else writes and is not waited for, or the file system has no locks.

    Raises:
        KeySetError: If somebody writes for longer than that.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        locked = _lock(descriptor, time.monotonic() + seconds)
        if locked is False and seconds:
            raise KeySetError(
                f"another program writes into {folder} for more than {seconds:g} s; try again when it is done"
            )
        yield bool(locked)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, deadline: float) -> bool | None:
    """Return whether the folder is locked, None where it cannot be."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True  # noqa: TRY300
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                return None
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
