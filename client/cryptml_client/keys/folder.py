"""The folder of key files: where it is, who may write into it, and what a killed program left in it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryFile

from platformdirs import user_data_path

from cryptml.errors import KeySetError
from cryptml_client.keys.folder_lock import locked_folder

SUFFIX = ".keys"

_left = re.compile(r"\.[0-9a-f]{64}\.keys\.[a-z0-9_]{8}")
"""How `write_bytes` names a key file until it is whole: what is so named while nobody writes was left by a program that was killed."""


class KeyFolder:
    """A folder of key files.

    Args:
        path: Of it; it need not exist.
        notify: Told, in a sentence, who else can list it, and what was removed.
    """

    def __init__(self, path: Path, notify: Callable[[str], None]) -> None:
        self.path = path
        self._notify = notify
        self._warned = False

    def paths(self) -> Sequence[Path]:
        """Return the key files, by name."""
        return sorted(path for path in self.path.glob(f"*{SUFFIX}") if not path.name.startswith("."))

    def require_writable(self) -> None:
        """Make the folder where it is missing, and refuse it if nothing can be written there.

        Raises:
            KeySetError: If it cannot be made or written, or others can write into it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.examine()
            with TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise KeySetError(
                f"keys cannot be written to {self.path} ({error.strerror}), and none were made; name another folder with `keys`"
            ) from error

    def examine(self) -> None:
        """Refuse a folder whose files others can replace, and remove what a killed program left in it.

        Raises:
            KeySetError: If others can write into it, or what was left cannot be removed.
        """
        try:
            mode = self.path.stat().st_mode & 0o777
        except OSError:
            return  # there is none, or whoever reads in it says so
        if mode & 0o022:
            raise KeySetError(
                f"{self.path} can be written by others (mode {mode:03o}), who could replace the keys; run chmod 700 on it"
            )
        if mode & 0o055 and not self._warned:
            self._warned = True
            self._notify(
                f"others can see which keys lie in {self.path} (mode {mode:03o}), not the keys; chmod 700 keeps that from them"
            )
        self.remove_left()

    def remove_left(self) -> None:
        """Remove what a killed program left of a key file, unless somebody writes now.

        Raises:
            KeySetError: If it cannot be removed.
        """
        try:
            if not any(_left.fullmatch(name) for name in os.listdir(self.path)):  # noqa: PTH208 (names are what is wanted)
                return
            with locked_folder(self.path, seconds=0) as alone:
                if not alone:
                    return  # one of them is being written
                for name in filter(_left.fullmatch, os.listdir(self.path)):  # noqa: PTH208
                    (self.path / name).unlink()
                    self._notify(
                        f"{name} was removed: an interrupted program had left it, with keys or a part of them; its blocks may remain on "
                        "the disk until it reuses them"
                    )
        except OSError as error:
            raise KeySetError(
                f"an interrupted program left keys in {self.path} that cannot be removed ({error.strerror}); remove the files whose "
                "names begin with a dot"
            ) from error


def default_folder() -> Path:
    """Return where keys lie unless told otherwise.

    Raises:
        KeySetError: If this user has no folder of their own: HOME is not set, and the system does not know the user.
    """
    try:
        found = user_data_path("cryptml") / "keys"
    except (RuntimeError, KeyError):
        found = Path("~")
    if not found.is_absolute():
        raise KeySetError(
            f"user {os.getuid()} has no home folder to keep keys in, and HOME is not set; name a folder with `keys`, or set HOME"
        )
    return found
