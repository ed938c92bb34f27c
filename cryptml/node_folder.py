"""A private folder on a node of a cluster, for the circuits and keys of one actor there; what killed ones left is removed."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

PREFIX = "cryptml-worker-"

UNCLAIMED_SECONDS = 60.0
"""A folder so old that nobody holds is a killed worker's; a younger one may not be locked yet."""

FILE_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")


class NodeFolder:
    """A folder of its own, readable by its owner alone; locked as long as this process lives."""

    def __init__(self) -> None:
        _remove_left()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, name: str, files: Iterable[tuple[str, bytes]]) -> Path:
        """Write files into a new folder below, and return it.

        Args:
            name: Of that folder.
            files: Names and contents.

        Raises:
            ValueError: If a name is not a plain one.
            OSError: If one cannot be written.
        """
        folder = self.path / name
        folder.mkdir(mode=0o700)
        for file, content in files:
            if not FILE_NAME.fullmatch(file):
                raise ValueError(f"{file[:100]!r} is not a file's name of letters, digits, dots and dashes")
            (folder / file).write_bytes(content)
        return folder

    def drop(self, name: str) -> None:
        """Delete what `write` has written."""
        shutil.rmtree(self.path / name, ignore_errors=True)

    def remove(self) -> None:
        """Delete all of it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _remove_left() -> None:
    """Delete folders whose process is gone: nobody holds their locks."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            found = path.lstat()
            if found.st_uid != os.geteuid() or time.time() - found.st_mtime < UNCLAIMED_SECONDS:
                continue
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # another worker removes it
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(lock)
