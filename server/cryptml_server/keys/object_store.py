"""Files that several services share, in whatever store fsspec knows."""

from __future__ import annotations

import logging
import secrets
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import fsspec

from cryptml.errors import SettingError

UPLOAD_SUFFIX = ".upload"
"""Of what is not whole yet."""

MARK = "cryptml-store"
"""A file that says which store this is: without it nothing counts as lost, since an empty mount point looks like a store without files."""

_MARK_BODY = b"This is CRYPTML's store of evaluation keys. Without this file they count as out of reach, not as lost.\n"


_log = logging.getLogger(__name__)


class ObjectStore:
    """A store of files by names; what goes wrong in it is an `OSError`, whatever the store's library raises.

    Args:
        address: As fsspec writes it: ``s3://bucket/keys``, ``file:///mnt/keys``.

    Raises:
        SettingError: If it is no address of a store, or its library is missing.
    """

    def __init__(self, address: str) -> None:
        try:
            self._system, self._root = fsspec.core.url_to_fs(address, use_listings_cache=False)
        except (ValueError, ImportError, OSError) as error:  # the address may hold a password
            raise SettingError(
                f"the object store cannot be used ({type(error).__name__}); give an address such as s3://bucket/keys, "
                "and install what it needs (cryptml[s3])"
            ) from error

    def put(self, path: Path, name: str) -> None:
        """Store a copy of a file, whole or not at all.

        Raises:
            OSError: If it cannot be stored.
        """
        with _as_os_error():
            target = self._of(name)
            self._system.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._system.put_file(str(path), f"{target}{UPLOAD_SUFFIX}")
            self._system.mv(f"{target}{UPLOAD_SUFFIX}", target)

    def get(self, name: str, path: Path) -> bool:
        """Copy a file here, and return whether it is there at all.

        Raises:
            OSError: If it cannot be had.
        """
        with _as_os_error():
            try:
                self._system.get_file(self._of(name), str(path))
            except FileNotFoundError:  # what some stores say of any failure
                if self.exists(name):
                    raise
                return False
            return True

    def exists(self, name: str) -> bool:
        """Return whether a file is there.

        Raises:
            OSError: If that cannot be told.
        """
        with _as_os_error():
            if self._is_there(name):
                return True
            if not self._is_there(MARK):
                raise OSError(0, "the object store is not there, or is another one")
            return self._is_there(name)  # the store may have come back between the two looks

    def is_marked(self) -> bool:
        """Return whether this is known to be the store: what is not in it is lost.

        Raises:
            OSError: If that cannot be told.
        """
        with _as_os_error():
            return self._is_there(MARK)

    def mark(self, names: Iterable[str]) -> None:
        """Mark this as the store, where one of some files is there, or none should be.

        Raises:
            OSError: If all of them are missing, or it cannot be marked.
        """
        with _as_os_error():
            expected = list(names)
            if expected and not any(self._is_there(name) for name in expected):
                _log.error(
                    "the object store has no stored keys and no file %r: is it mounted, and its address right? Where all keys are "
                    "really lost, make an empty file of that name in it",
                    MARK,
                )
                raise OSError(0, "the object store is not there, or is another one")
            self._system.makedirs(self._root, exist_ok=True)
            self._system.pipe_file(self._of(MARK), _MARK_BODY)

    def delete(self, name: str) -> None:
        """Delete a file, if it is there.

        Raises:
            OSError: If it cannot be.
        """
        with _as_os_error(), suppress(FileNotFoundError):
            self._system.rm_file(self._of(name))

    def files(self) -> list[tuple[str, float]]:
        """Return the names of all files with their ages in seconds, by this machine's clock.

        Raises:
            OSError: If they cannot be listed.
        """
        with _as_os_error():
            try:
                found = self._system.find(self._root)
            except FileNotFoundError:
                return []
            begin, ages = len(self._root) + 1, []
            for path in found:
                with suppress(FileNotFoundError):  # another service may delete it meanwhile
                    ages.append((path[begin:], time.time() - self._system.modified(path).timestamp()))
            return [(name, age) for name, age in ages if name != MARK]

    def probe(self) -> None:
        """Store a file, read it back, and delete it.

        Raises:
            OSError: If one of that cannot be done.
        """
        name, body = f"probe/{secrets.token_hex(16)}", secrets.token_bytes(64)
        with tempfile.TemporaryDirectory() as folder:
            sent, came = Path(folder) / "sent", Path(folder) / "came"
            sent.write_bytes(body)
            self.put(sent, name)
            try:
                if not self.get(name, came) or came.read_bytes() != body:
                    raise OSError(0, "it returns something else than was stored")
            finally:
                self.delete(name)

    def _is_there(self, name: str) -> bool:
        """Not `exists` of the store's library, for some of which whatever fails is not there."""
        try:
            self._system.info(self._of(name))
        except FileNotFoundError:
            return False
        return True

    def _of(self, name: str) -> str:
        return f"{self._root}/{name}"


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(0, f"the object store failed ({type(error).__name__})") from error
