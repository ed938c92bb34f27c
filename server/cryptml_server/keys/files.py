"""Where the files of evaluation keys lie: in a folder, or in an object store with a folder in front of it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from cryptml.errors import CryptmlError, SettingError
from cryptml_server.base.private_folders import make_private
from cryptml_server.keys.object_store import ObjectStore

SETTLING_SECONDS = 120.0
"""A file without a row that is younger may be about to get one; one that was used so lately may be about to be read."""

REMOTE_SETTLING_SECONDS = 3600.0
"""The same in an object store, whose clock may be another than this machine's."""

UNFINISHED_SECONDS = 6 * 3600.0
"""For which an upload in parts may pause."""

UPLOAD_PREFIX = ".upload-"
"""Of files that are of one request, and go with it."""

PART_PREFIX = ".part-"
"""Of files that the next request goes on with."""

LOCK = ".lock"
"""Behind the folder's name: who holds it has the folder."""

BLOCK = 1 << 20


@dataclass(frozen=True)
class EvaluationKeyFile:
    """One file, by names that the service has drawn.

    Attributes:
        tenant: Id of whose it is.
        key_set: Name of the key set.
        file: Random.
    """

    tenant: str
    key_set: str
    file: str

    @property
    def name(self) -> str:
        """Of the file in an object store."""
        return f"{self.tenant}/{self.key_set}/{self.file}"


class FileAltered(CryptmlError):
    """A file in the object store is not the one that was stored."""


class KeyFiles:
    """The files of evaluation keys; which of them count says the database.

    Attributes:
        remote_settling_seconds: See below; a change counts from the next sweep.

    Args:
        folder: Made where it is missing, mode 0700; one service at a time.
        object_store: Address that fsspec knows, such as ``s3://bucket/keys``, for all services together; None where the folder is all.
        cache_bytes: That the folder keeps of an object store's files, those used last.
        remote_settling_seconds: For which a file in the object store that has no row may be about to get one.

    Raises:
        SettingError: If another service has the folder, or the object store cannot be used.
        OSError: If the folder cannot be made or written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        object_store: str | None = None,
        cache_bytes: int = 1 << 60,
        remote_settling_seconds: float = REMOTE_SETTLING_SECONDS,
    ) -> None:
        make_private(folder.absolute())
        self._folder = folder
        self._cache_bytes = cache_bytes
        self.remote_settling_seconds = remote_settling_seconds
        self._remote = None if object_store is None else ObjectStore(object_store)
        self._guard = Lock()
        self._bringing: dict[EvaluationKeyFile, tuple[Lock, int]] = {}
        self._lock = os.open(folder.with_name(folder.name + LOCK), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise SettingError(
                f"another service has its keys in {folder}; stop it, or give this one a data folder of its own"
            ) from error
        for leftover in folder.rglob(f"{UPLOAD_PREFIX}*"):
            leftover.unlink(missing_ok=True)
        for leftover in folder.glob("*/*"):  # of versions without tenants
            if leftover.is_file():
                leftover.unlink(missing_ok=True)

    @property
    def shared(self) -> bool:
        """Whether other services see the same files."""
        return self._remote is not None

    def close(self) -> None:
        """Let go of the folder."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1

    def upload(self, tenant: str, key_set: str) -> Path:
        """Return a new name for the file of one request; its folder is there."""
        return self._in_folder(tenant, key_set, f"{UPLOAD_PREFIX}{secrets.token_hex(16)}")

    def part(self, tenant: str, key_set: str, digest: str) -> Path:
        """Return the name of an upload in parts; its folder is there."""
        return self._in_folder(tenant, key_set, f"{PART_PREFIX}{digest}")

    def parts(self, tenant: str | None = None) -> list[Path]:
        """Return the unfinished uploads in parts, of one tenant or of all."""
        return list(self._folder.glob(f"{tenant or '*'}/*/{PART_PREFIX}*"))

    def keep(self, upload: Path, place: EvaluationKeyFile) -> None:
        """Move a whole upload to its place, durably.

        Raises:
            OSError: If it cannot be.
        """
        path, now = self._path(place), time.time()
        os.utime(upload, (now, now))
        if self._remote is not None:
            self._remote.put(upload, place.name)
        upload.replace(path)
        for folder in (path.parent, path.parent.parent, self._folder):  # either may be new
            _sync_folder(folder)

    def require_store(self, known: Callable[[], Iterable[EvaluationKeyFile]]) -> None:
        """See to it that the object store is marked as the one of these files, so that what is not in it may count as lost.

        Args:
            known: Gives the files that have rows; one of them shows that a store without a mark is theirs.

        Raises:
            OSError: If it is not there, or another one.
        """
        if self._remote is not None and not self._remote.is_marked():
            self._remote.mark(place.name for place in known())

    def fetch(self, place: EvaluationKeyFile, digest: str) -> Path | None:
        """Return where a file lies on this machine, brought from the object store where it must be; None where it is lost.

        Args:
            place: Of the file.
            digest: SHA-256 that it must have.

        Raises:
            OSError: If it cannot be brought.
            FileAltered: If it is another than it should be.
        """
        path = self._path(place)
        if self._remote is None:
            return path if path.is_file() else None
        with self._alone(place):
            if not path.is_file() and not self._bring(self._remote, place, digest):
                return None
        with suppress(FileNotFoundError):
            os.utime(path)
        return path

    def _bring(self, remote: ObjectStore, place: EvaluationKeyFile, digest: str) -> bool:
        """Copy a file from the object store into the folder, and return whether it is there at all."""
        upload = self.upload(place.tenant, place.key_set)
        try:
            if not remote.get(place.name, upload):
                return False
            upload.chmod(0o600)
            if file_digest(upload) != digest:
                raise FileAltered
            self._make_room(upload.stat().st_size)
            upload.replace(self._path(place))
        finally:
            upload.unlink(missing_ok=True)
        return True

    @contextmanager
    def _alone(self, place: EvaluationKeyFile) -> Iterator[None]:
        """Let one thread at a time bring a file, so that the others find it here; locks that nobody holds are forgotten."""
        with self._guard:
            lock, holders = self._bringing.get(place, (Lock(), 0))
            self._bringing[place] = lock, holders + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, holders = self._bringing.pop(place)
                if holders > 1:
                    self._bringing[place] = lock, holders - 1

    def is_there(self, place: EvaluationKeyFile) -> bool:
        """Return whether a file is there, wherever.

        Raises:
            OSError: If that cannot be told.
        """
        return self._path(place).is_file() or (self._remote is not None and self._remote.exists(place.name))

    def delete(self, place: EvaluationKeyFile) -> None:
        """Delete a file everywhere, if it is there.

        Raises:
            OSError: If it cannot be.
        """
        self._path(place).unlink(missing_ok=True)
        if self._remote is not None:
            self._remote.delete(place.name)

    def sweep(self, wanted: set[EvaluationKeyFile], known: set[EvaluationKeyFile], revoked: set[str]) -> None:
        """Delete files that nobody wants, and uploads that pause for too long.

        Args:
            wanted: That have rows.
            known: That had one lately; any other may be about to get one, while it is young.
            revoked: Ids of tenants that may leave nothing unfinished.
        """
        for path in self._folder.glob("*/*/*"):
            place = EvaluationKeyFile(path.parent.parent.name, path.parent.name, path.name)
            if path.name.startswith(PART_PREFIX):
                unwanted = place.tenant in revoked or _age(path) > UNFINISHED_SECONDS
            else:
                settled = place in known or _age(path) > SETTLING_SECONDS
                unwanted = place not in wanted and settled and not path.name.startswith(UPLOAD_PREFIX)
            if unwanted:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        if self._remote is not None:
            kept, had = ({place.name for place in places} for places in (wanted, known))
            for name, age in self._remote.files():
                if name not in kept and (name in had or age > self.remote_settling_seconds):
                    self._remote.delete(name)

    def _make_room(self, size: int) -> None:
        """Delete files of the object store here that were not used for longest, so that so many bytes more fit."""
        found = []
        for path in self._folder.glob("*/*/[!.]*"):
            with suppress(FileNotFoundError):  # a sweep may take it meanwhile
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        total = size
        for used, each, path in sorted(found, reverse=True):
            total += each
            if total > self._cache_bytes and time.time() - used > SETTLING_SECONDS:
                path.unlink(missing_ok=True)

    def _path(self, place: EvaluationKeyFile) -> Path:
        return self._in_folder(place.tenant, place.key_set, place.file)

    def _in_folder(self, tenant: str, key_set: str, name: str) -> Path:
        folder = self._folder / tenant / key_set
        make_private(folder.absolute())
        return folder / name


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            hasher.update(block)
    return hasher.hexdigest()


def _sync_folder(folder: Path) -> None:
    """See to it that a renamed file is found under its new name after a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _age(path: Path) -> float:
    """Seconds since a file was last written; none where it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
