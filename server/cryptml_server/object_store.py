"""Files that several services share, in whatever store fsspec knows."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import fsspec

from cryptml.errors import SettingError

UPLOAD_SUFFIX = ".upload"
"""Of what is not whole yet."""


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
            except FileNotFoundError:
                return False
            return True

    def exists(self, name: str) -> bool:
        """Return whether a file is there.

        Raises:
            OSError: If that cannot be told.
        """
        with _as_os_error():
            return bool(self._system.exists(self._of(name)))

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
            begin = len(self._root) + 1
            return [(path[begin:], time.time() - self._system.modified(path).timestamp()) for path in found]

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
