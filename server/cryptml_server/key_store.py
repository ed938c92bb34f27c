"""Evaluation keys on disk, each tenant's its own. They compute; they do not decrypt."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import anyio
from sqlalchemy import ColumnElement, delete, func, select, update
from starlette.concurrency import run_in_threadpool

from cryptml.errors import SettingError
from cryptml_server.database import Database, evaluation_keys, insert_if_absent, tenants
from cryptml_server.models import Circuit
from cryptml_server.problems import Problem
from cryptml_server.tenants import Tenant

MOST_UPLOADS = 8
"""Under way at once; a further one is told to come back."""

MOST_UPLOADS_EACH = 2
"""Of one tenant."""

USE_SECONDS = 60.0
"""Uses that follow each other so closely are noted once."""

SETTLING_SECONDS = 120.0
"""A file without a row that is younger may be about to get one."""

UPLOAD_PREFIX = ".upload-"
LOCK = ".lock"
"""Behind the folder's name: who holds it has the folder."""


@dataclass(frozen=True)
class StoredKeys:
    """Evaluation keys of one tenant.

    Attributes:
        name: What workers remember them by; no two tenants' are the same.
        path: Of the file.
    """

    name: str
    path: Path


class KeyStore:
    """Stores evaluation keys under names that the service draws, never the client.

    What is stored is in the database. A file is there before its row and goes after it, so that a crash leaves a file without a row at
    most, or, where a disk lost what it had promised, a row without a file; `sweep` removes both.

    Args:
        folder: Made where it is missing, mode 0700; one service at a time.
        database: Says whose keys are stored, and since when they were not used.
        limit: Bytes of all keys together, uploads under way included.
        upload_seconds: Within which an upload must end.
        unused_seconds: After which keys that nobody uses are deleted.

    Raises:
        SettingError: If another service has the folder.
        OSError: If the folder cannot be made or written.
    """

    def __init__(
        self, folder: Path, database: Database, *, limit: int, upload_seconds: float, unused_seconds: float
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._database = database
        self._limit = limit
        self._upload_seconds = upload_seconds
        self._unused_seconds = unused_seconds
        self._reserved: list[tuple[str, int]] = []
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

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._lock)

    def find(self, tenant: Tenant, circuit: Circuit, digest: str) -> StoredKeys:
        """Return a tenant's stored keys, and note that they were used.

        Raises:
            Problem: 404 if the tenant has not stored them for this circuit, whoever else has.
        """
        now, place = time.time(), _place(tenant, circuit, digest)
        with self._database.reading() as connection:
            row = connection.execute(select(evaluation_keys.c.file, evaluation_keys.c.last_used).where(*place)).first()
        if row is None:
            raise Problem(
                404,
                "Unknown evaluation keys",
                f"no keys of that digest are stored for segment {circuit.index}; upload them first",
            )
        if now - row.last_used > USE_SECONDS:
            with self._database.writing() as connection:
                connection.execute(update(evaluation_keys).where(*place).values(last_used=now))
        return StoredKeys(keys_name(tenant.id, circuit, digest), self._path(tenant.id, circuit.key_set, row.file))

    def holds(self, tenant: Tenant, circuit: Circuit, digest: str) -> bool:
        """Return whether a tenant has stored keys, and their file is there."""
        try:
            found = self.find(tenant, circuit, digest)
        except Problem:
            return False
        if found.path.is_file():
            return True
        with self._database.writing() as connection:  # lost by the disk: they may be uploaded again
            connection.execute(delete(evaluation_keys).where(*_place(tenant, circuit, digest)))
        return False

    @asynccontextmanager
    async def receiving(
        self, tenant: Tenant, circuit: Circuit, digest: str, body: AsyncIterable[bytes]
    ) -> AsyncIterator[StoredKeys]:
        """Write an upload to a temporary file, checking size and digest on the way; the file goes at the end of the block.

        Its room is reserved until then, so keep it with `keep` before.

        Raises:
            Problem: 413 or 422 for a wrong size, 422 for another digest, 403 beyond the tenant's quotas, 408 past the time, 503 where
                too many upload, 507 where there is no room.
        """
        own = sum(1 for name, _ in self._reserved if name == tenant.id)
        if len(self._reserved) >= MOST_UPLOADS or own >= MOST_UPLOADS_EACH:
            raise Problem(
                503,
                "Too busy",
                f"{own} uploads of yours and {len(self._reserved)} in all are under way; try again later",
                retry_after=10,
            )
        reservation = (tenant.id, circuit.key_bytes[1])
        self._reserved.append(reservation)
        upload = self._path(tenant.id, circuit.key_set, f"{UPLOAD_PREFIX}{secrets.token_hex(16)}")
        try:
            await run_in_threadpool(self._require_room, tenant)
            await self._receive(circuit, digest, body, upload)
            yield StoredKeys(keys_name(tenant.id, circuit, digest), upload)
        finally:
            self._reserved.remove(reservation)
            upload.unlink(missing_ok=True)

    def keep(self, tenant: Tenant, circuit: Circuit, digest: str, upload: StoredKeys) -> None:
        """Move a received upload, now known to be good, to its place, and write its row; nothing where there is one already.

        Raises:
            Problem: 401 if the tenant was revoked meanwhile, 507 if the file cannot be moved.
        """
        now, file = time.time(), secrets.token_hex(16)
        path = self._path(tenant.id, circuit.key_set, file)
        try:
            size = upload.path.stat().st_size
            os.utime(upload.path, (now, now))
            upload.path.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            raise _no_room(error) from error
        row = {
            "tenant": tenant.id,
            "key_set": circuit.key_set,
            "digest": digest,
            "file": file,
            "bytes": size,
            "created": now,
            "last_used": now,
        }
        try:
            with self._database.writing() as connection:
                if connection.execute(select(tenants.c.revoked).where(tenants.c.id == tenant.id)).scalar() is not None:
                    raise Problem(401, "Not authenticated", "the tenant was revoked")
                insert_if_absent(connection, evaluation_keys, row)
                kept = connection.execute(
                    select(evaluation_keys.c.file).where(*_place(tenant, circuit, digest))
                ).scalar()
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        if kept != file:  # the same keys were uploaded twice at once
            path.unlink(missing_ok=True)

    def delete(self, tenant: Tenant, circuit: Circuit, digest: str) -> str:
        """Delete a tenant's stored keys, for all circuits that share them, and return the name that workers remember them by.

        Raises:
            Problem: 404 if the tenant has not stored them.
        """
        found = self.find(tenant, circuit, digest)
        with self._database.writing() as connection:
            connection.execute(delete(evaluation_keys).where(*_place(tenant, circuit, digest)))
        found.path.unlink(missing_ok=True)
        return found.name

    def sweep(self) -> list[str]:
        """Delete keys that were not used for long or are of revoked tenants, files without a row and rows without a file.

        Returns:
            The names of deleted keys that workers may remember.
        """
        with self._database.reading() as connection:
            rows = connection.execute(
                select(evaluation_keys, tenants.c.revoked).join(tenants, tenants.c.id == evaluation_keys.c.tenant)
            ).all()
        gone, kept = [], set()
        for row in rows:
            path = self._path(row.tenant, row.key_set, row.file)
            if row.revoked is not None or time.time() - row.last_used > self._unused_seconds or not path.is_file():
                with self._database.writing() as connection:
                    connection.execute(
                        delete(evaluation_keys).where(
                            evaluation_keys.c.file == row.file, evaluation_keys.c.last_used == row.last_used
                        )
                    )
                gone.append(f"{row.tenant}/{row.key_set}/{row.digest}")
            else:
                kept.add(path)
        with self._database.reading() as connection:  # some may have been used in the same moment
            kept |= {
                self._path(row.tenant, row.key_set, row.file)
                for row in connection.execute(
                    select(evaluation_keys.c.tenant, evaluation_keys.c.key_set, evaluation_keys.c.file)
                )
            }
        had = {self._path(row.tenant, row.key_set, row.file) for row in rows}
        for path in self._folder.glob("*/*/*"):
            settled = path in had or _age(path) > SETTLING_SECONDS
            if path not in kept and settled and not path.name.startswith(UPLOAD_PREFIX):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        return gone

    async def _receive(self, circuit: Circuit, digest: str, body: AsyncIterable[bytes], upload: Path) -> None:
        try:
            upload.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(upload, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as stream, anyio.fail_after(self._upload_seconds):
                await _copy(circuit, digest, body, stream)
        except TimeoutError as error:
            raise Problem(
                408, "Upload too slow", f"the upload took more than {self._upload_seconds:g} s; try again"
            ) from error
        except OSError as error:
            raise _no_room(error) from error

    def _require_room(self, tenant: Tenant) -> None:
        with self._database.reading() as connection:
            everything = int(
                connection.execute(select(func.coalesce(func.sum(evaluation_keys.c.bytes), 0))).scalar_one()
            )
        count, size = stored_keys(self._database, tenant)
        own = [reserved for name, reserved in self._reserved if name == tenant.id]
        quotas = tenant.quotas
        if count + len(own) > quotas.keys or size + sum(own) > quotas.key_bytes:
            raise Problem(
                403,
                "Key quota used up",
                f"you have stored {count} of {quotas.keys} evaluation keys, {size} of {quotas.key_bytes} bytes, and these do not fit "
                "beside them; delete keys that you do not need",
            )
        if everything + sum(reserved for _, reserved in self._reserved) > self._limit:
            raise Problem(507, "No room for keys", "the service has no room for further keys; try later")

    def _path(self, tenant: str, key_set: str, file: str) -> Path:
        return self._folder / tenant / key_set / file


def stored_keys(database: Database, tenant: Tenant) -> tuple[int, int]:
    """Return how many evaluation keys a tenant has stored, and their bytes."""
    with database.reading() as connection:
        count, size = connection.execute(
            select(func.count(), func.coalesce(func.sum(evaluation_keys.c.bytes), 0)).where(
                evaluation_keys.c.tenant == tenant.id
            )
        ).one()
        return int(count), int(size)


async def _copy(circuit: Circuit, digest: str, body: AsyncIterable[bytes], stream: BinaryIO) -> None:
    """Write a body to a file, checking size and digest on the way."""
    least, most = circuit.key_bytes
    hasher = hashlib.sha256()
    received = 0
    async for block in body:
        received += len(block)
        if received > most:
            raise Problem(413, "Keys too long", f"evaluation keys of this segment have at most {most} bytes")
        hasher.update(block)
        stream.write(block)
    stream.flush()
    await run_in_threadpool(os.fsync, stream.fileno())
    if received < least:
        raise Problem(
            422,
            "Keys truncated",
            f"the keys have {received} bytes, those of this segment at least {least}; upload them again",
        )
    if hasher.hexdigest() != digest:
        raise Problem(422, "Digest mismatch", "the keys' SHA-256 is not the one in the address; upload them again")


def _place(tenant: Tenant, circuit: Circuit, digest: str) -> tuple[ColumnElement[bool], ...]:
    return (
        evaluation_keys.c.tenant == tenant.id,
        evaluation_keys.c.key_set == circuit.key_set,
        evaluation_keys.c.digest == digest,
    )


def keys_name(tenant: str, circuit: Circuit, digest: str) -> str:
    """Return what workers remember a tenant's keys by."""
    return f"{tenant}/{circuit.key_set}/{digest}"


def _no_room(error: OSError) -> Problem:
    return Problem(507, "No room for keys", f"the keys cannot be stored ({error.strerror}); try later")


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
