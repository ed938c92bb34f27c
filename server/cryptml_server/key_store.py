"""Evaluation keys on disk, by tenant, key set and digest. They compute; they do not decrypt."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterable
from pathlib import Path
from typing import BinaryIO

import anyio
from sqlalchemy import ColumnElement, delete, func, select, update
from starlette.concurrency import run_in_threadpool

from cryptml_server.database import Database, evaluation_keys, insert_if_absent
from cryptml_server.models import Circuit
from cryptml_server.problems import Problem
from cryptml_server.tenants import Tenant

MAX_UPLOADS = 4
"""Uploads that may be under way at once; a further one is told to come back."""

USE_SECONDS = 60.0
"""Uses that follow each other so closely are noted once."""

UPLOAD_PREFIX = ".upload-"


class KeyStore:
    """Stores evaluation keys under names that the service derives, never the client.

    What is stored is in the database; a file without its row, or a row without its file, is left of a crash and goes at the next
    start or sweep.

    Args:
        folder: Made where it is missing, mode 0700.
        database: Says whose keys are stored, and since when they were not used.
        limit: Bytes of all keys together, uploads under way included.
        upload_seconds: Within which an upload must end.
        unused_seconds: After which keys that nobody uses are deleted.

    Raises:
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
        for leftover in folder.rglob(f"{UPLOAD_PREFIX}*"):
            leftover.unlink(missing_ok=True)

    def path(self, tenant: Tenant, circuit: Circuit, digest: str) -> Path:
        """Return where keys of a checked digest (64 hexadecimal digits) lie or would lie."""
        return self._folder / tenant.id / circuit.key_set / digest

    def find(self, tenant: Tenant, circuit: Circuit, digest: str) -> Path:
        """Return where a tenant's stored keys lie, and note that they were used.

        Raises:
            Problem: 404 if the tenant has not stored them for this circuit, whoever else has.
        """
        now, place = time.time(), _place(tenant, circuit, digest)
        with self._database.transaction() as connection:
            used = connection.execute(select(evaluation_keys.c.last_used).where(*place)).scalar()
            if used is not None and now - used > USE_SECONDS:
                connection.execute(update(evaluation_keys).where(*place).values(last_used=now))
        path = self.path(tenant, circuit, digest)
        if used is None or not path.is_file():
            raise Problem(
                404,
                "Unknown evaluation keys",
                f"no keys of that digest are stored for segment {circuit.index}; upload them first",
            )
        return path

    def holds(self, tenant: Tenant, circuit: Circuit, digest: str) -> bool:
        """Return whether a tenant has stored keys."""
        try:
            self.find(tenant, circuit, digest)
        except Problem:
            return False
        return True

    async def receive(self, tenant: Tenant, circuit: Circuit, digest: str, body: AsyncIterable[bytes]) -> Path:
        """Write an upload to a temporary file of the store, checking size and digest on the way.

        Returns:
            The temporary file, to be kept with `keep` or deleted.

        Raises:
            Problem: 413 or 422 for a wrong size, 422 for another digest, 403 beyond the tenant's quotas, 507 where there is no room.
        """
        most = circuit.key_bytes[1]
        if len(self._reserved) >= MAX_UPLOADS:
            raise Problem(503, "Too busy", f"{MAX_UPLOADS} uploads are under way; try again later", retry_after=10)
        self._reserved.append((tenant.id, most))
        name = ""
        try:
            await run_in_threadpool(self._require_room, tenant)
            folder = self.path(tenant, circuit, digest).parent
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor, name = tempfile.mkstemp(dir=folder, prefix=UPLOAD_PREFIX)
            with os.fdopen(descriptor, "wb") as stream, anyio.fail_after(self._upload_seconds):
                await _copy(circuit, digest, body, stream)
        except TimeoutError as error:
            _remove(name)
            raise Problem(
                408, "Upload too slow", f"the upload took more than {self._upload_seconds:g} s; try again"
            ) from error
        except OSError as error:
            _remove(name)
            raise Problem(
                507, "No room for keys", f"the keys cannot be stored ({error.strerror}); try later"
            ) from error
        except BaseException:
            _remove(name)
            raise
        finally:
            self._reserved.remove((tenant.id, most))
        return Path(name)

    def keep(self, tenant: Tenant, circuit: Circuit, digest: str, upload: Path) -> None:
        """Move a received upload, now known to be good, to its place, and write its row.

        Raises:
            Problem: 507 if the file cannot be moved.
        """
        now, path = time.time(), self.path(tenant, circuit, digest)
        try:
            size = upload.stat().st_size
            upload.replace(path)
        except OSError as error:
            raise Problem(
                507, "No room for keys", f"the keys cannot be stored ({error.strerror}); try later"
            ) from error
        row = {
            "tenant": tenant.id,
            "key_set": circuit.key_set,
            "digest": digest,
            "bytes": size,
            "created": now,
            "last_used": now,
        }
        try:
            with self._database.transaction() as connection:
                insert_if_absent(connection, evaluation_keys, row)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def delete(self, tenant: Tenant, circuit: Circuit, digest: str) -> None:
        """Delete a tenant's stored keys, for all circuits that share them.

        Raises:
            Problem: 404 if the tenant has not stored them.
        """
        path = self.find(tenant, circuit, digest)
        with self._database.transaction() as connection:
            connection.execute(delete(evaluation_keys).where(*_place(tenant, circuit, digest)))
        path.unlink(missing_ok=True)

    def sweep(self) -> int:
        """Delete keys that were not used for long, rows without a file and files without a row; return how many keys went.

        Nothing that is being received is touched.
        """
        with self._database.transaction() as connection:
            old = evaluation_keys.c.last_used < time.time() - self._unused_seconds
            connection.execute(delete(evaluation_keys).where(old))
            kept = {
                (row.tenant, row.key_set, row.digest)
                for row in connection.execute(
                    select(evaluation_keys.c.tenant, evaluation_keys.c.key_set, evaluation_keys.c.digest)
                )
            }
        gone = 0
        for path in self._folder.glob("*/*/*"):
            if path.name.startswith(UPLOAD_PREFIX) or _age(path) < self._upload_seconds:
                continue
            if (path.parent.parent.name, path.parent.name, path.name) not in kept:
                path.unlink(missing_ok=True)
                gone += 1
        return gone

    def _require_room(self, tenant: Tenant) -> None:
        with self._database.transaction() as connection:
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


def stored_keys(database: Database, tenant: Tenant) -> tuple[int, int]:
    """Return how many evaluation keys a tenant has stored, and their bytes."""
    with database.transaction() as connection:
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


def _age(path: Path) -> float:
    """Seconds since a file was last written; none where it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove(name: str) -> None:
    if name:
        Path(name).unlink(missing_ok=True)
