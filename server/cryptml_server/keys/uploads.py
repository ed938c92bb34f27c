"""Evaluation keys on their way in: in one request, or in parts that go on where the last one broke off."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from sqlalchemy import func, select
from starlette.concurrency import run_in_threadpool

from cryptml_server.base.errors import (
    DigestMismatch,
    KeyQuotaExhausted,
    KeysTooLong,
    KeysTruncated,
    NoRoomForKeys,
    OtherOffset,
    TooBusy,
    TooManyUploads,
    Unusable,
    UploadTooSlow,
    UploadUnderWay,
)
from cryptml_server.base.metrics import Metrics
from cryptml_server.base.models import Circuit
from cryptml_server.database import Database, evaluation_keys
from cryptml_server.keys.files import KeyFiles, file_digest
from cryptml_server.keys.store import no_room, stored_keys
from cryptml_server.keys.upload_bytes import USUAL_RATE, WRITTEN_AT_ONCE, AppendedFile, LeastRate, steadily
from cryptml_server.tenancy.tenants import Tenant
from cryptml_server.tenancy.usage import count_upload

MOST_UPLOADS = 8
"""Under way at once; a further one is told to come back."""

MOST_UPLOADS_EACH = 2
"""Of one tenant."""

MOST_PARTS_EACH = 4
"""Uploads in parts that a tenant may leave unfinished."""


class UploadService:
    """Receives evaluation keys into files that are not stored yet, and holds bounds and quotas before a byte is read.

    Args:
        files: Where they lie.
        database: Knows what is stored.
        limit: Bytes of all keys together, uploads under way and unfinished ones included.
        seconds: Within which a request must end.
        metrics: Told how much comes in.
        rate: That an upload must come at.
    """

    def __init__(
        self,
        files: KeyFiles,
        database: Database,
        *,
        limit: int,
        seconds: float,
        metrics: Metrics | None = None,
        rate: LeastRate = USUAL_RATE,
    ) -> None:
        self._metrics = metrics if metrics is not None else Metrics()
        self._files = files
        self._database = database
        self._limit = limit
        self._seconds = seconds
        self._rate = rate
        self._under_way: dict[Path, tuple[str, int]] = {}

    @asynccontextmanager
    async def whole(
        self, tenant: Tenant, circuit: Circuit, digest: str, body: AsyncIterable[bytes], *, announced: int | None = None
    ) -> AsyncIterator[Path]:
        """Receive keys in one request, and give their file, checked for size and digest; it goes at the end of the block.

        Raises:
            KeysTooLong: If more comes than keys of the circuit have.
            KeysTruncated: If less comes.
            DigestMismatch: If they have another digest.
            KeyQuotaExhausted: Beyond what the tenant may store.
            DailyQuotaExhausted: Beyond what it may send today.
            UploadTooSlow: Past the time.
            TooManyUploads: If too many of the tenant's are under way.
            NoRoomForKeys: Where there is no room.
        """
        upload = self._files.upload(tenant.id, circuit.key_set)
        most = circuit.key_bytes[1]
        arriving = _counted(most, announced)
        async with self._reserved(tenant, upload, most, arriving=arriving):
            try:
                await self._receive(body, upload, arriving)
                await run_in_threadpool(_check, upload, circuit, digest)
                yield upload
            finally:
                await _remove(upload)

    @asynccontextmanager
    async def part(
        self,
        tenant: Tenant,
        circuit: Circuit,
        digest: str,
        body: AsyncIterable[bytes],
        *,
        offset: int,
        length: int,
        announced: int | None = None,
    ) -> AsyncIterator[tuple[Path, int]]:
        """Receive a part, and give the file with the bytes that are there now; what came stays, even of a part that broke off.

        Where all bytes are there, they are checked for their digest, and the file goes at the end of the block.

        Args:
            tenant: Whose keys they are.
            circuit: That they are for.
            digest: Of the whole.
            body: The part.
            offset: Where it begins; what is there already.
            length: Of the whole.
            announced: Bytes of the part, where they are known.

        Raises:
            ServerError: As `whole`.
            OtherOffset: Where another offset is there; it has the right one.
        """
        least, most = circuit.key_bytes
        if not least <= length <= most:
            refusal = KeysTooLong if length > most else KeysTruncated
            raise refusal(f"the keys are said to have {length} bytes, those of this segment have {least} to {most}")
        upload = self._files.part(tenant.id, circuit.key_set, digest)
        arriving = _counted(length - offset, announced)
        async with self._reserved(tenant, upload, length, arriving=arriving):
            there = await run_in_threadpool(self.offset, tenant, circuit, digest)
            if offset != there:
                raise OtherOffset(
                    f"the part begins at byte {offset}, and {there} bytes are there; go on behind them",
                    offset=there,
                )
            await self._receive(body, upload, offset + arriving, append=True)
            there = await run_in_threadpool(self.offset, tenant, circuit, digest)
            if there < length:
                yield upload, there
                return
            try:
                await run_in_threadpool(_check, upload, circuit, digest)
                yield upload, there
            except Unusable:  # all else leaves them good, as far as is known: they need not come again
                await _remove(upload)
                raise
            await _remove(upload)

    def discard(self, tenant: Tenant, circuit: Circuit, digest: str) -> bool:
        """Delete what is there of an unfinished upload, and return whether anything was."""
        upload = self._files.part(tenant.id, circuit.key_set, digest)
        if upload in self._under_way or not upload.is_file():
            return False
        upload.unlink(missing_ok=True)
        return True

    def offset(self, tenant: Tenant, circuit: Circuit, digest: str) -> int:
        """Return how many bytes of an unfinished upload are there."""
        try:
            return self._files.part(tenant.id, circuit.key_set, digest).stat().st_size
        except FileNotFoundError:
            return 0

    @asynccontextmanager
    async def _reserved(self, tenant: Tenant, upload: Path, size: int, *, arriving: int) -> AsyncIterator[None]:
        """Keep room for an upload until the end of the block, and count what is about to arrive."""
        own = sum(1 for name, _ in self._under_way.values() if name == tenant.id)
        if upload in self._under_way:
            raise UploadUnderWay("another request sends a part of these very keys", retry_after=5)
        if len(self._under_way) >= MOST_UPLOADS or own >= MOST_UPLOADS_EACH:
            raise TooBusy(
                f"{own} uploads of yours and {len(self._under_way)} in all are under way; try again later",
                retry_after=10,
            )
        self._under_way[upload] = (tenant.id, size)
        try:
            await run_in_threadpool(self._require_room, tenant, upload, arriving)
            yield
        finally:
            del self._under_way[upload]

    async def _receive(self, body: AsyncIterable[bytes], upload: Path, most: int, *, append: bool = False) -> None:
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_EXCL)
        try:
            file = await run_in_threadpool(AppendedFile, upload, flags)
            try:
                with anyio.fail_after(self._seconds):
                    received, began, before = file.size, time.monotonic(), file.size
                    async for block in steadily(body):
                        received += len(block)
                        if received > most:
                            raise KeysTooLong(f"more came than the {most} bytes that there may be")
                        file.waiting += block
                        self._metrics.uploaded(len(block))
                        self._rate.require(received - before, time.monotonic() - began)
                        if len(file.waiting) >= WRITTEN_AT_ONCE:
                            await run_in_threadpool(file.write)
                await run_in_threadpool(file.sync)
            finally:
                with anyio.CancelScope(shield=True):  # what came is there for the next part, however this one ended
                    await run_in_threadpool(file.close)
        except TimeoutError as error:
            raise UploadTooSlow(f"the upload took more than {self._seconds:g} s; try again") from error
        except OSError as error:
            raise no_room(error) from error

    def _require_room(self, tenant: Tenant, upload: Path, arriving: int) -> None:
        with self._database.reading() as connection:
            everything = int(
                connection.execute(select(func.coalesce(func.sum(evaluation_keys.c.bytes), 0))).scalar_one()
            )
        count, size = stored_keys(self._database, tenant)
        reserved = list(self._under_way.values())
        own = [each for name, each in reserved if name == tenant.id]
        paused = [path for path in self._files.parts(tenant.id) if path not in self._under_way]
        quotas = tenant.quotas
        if count + len(own) + len(paused) > quotas.keys or size + sum(own) + _sizes(paused) > quotas.key_bytes:
            raise KeyQuotaExhausted(
                f"you have stored {count} of {quotas.keys} evaluation keys, {size} of {quotas.key_bytes} bytes, and these do not fit "
                "beside them and what you upload; delete keys that you do not need",
            )
        if upload.name.startswith(".part") and len(paused) >= MOST_PARTS_EACH:
            raise TooManyUploads(
                f"{len(paused)} uploads of yours are unfinished, {MOST_PARTS_EACH} at most; go on with one of them",
                retry_after=60,
            )
        all_paused = [path for path in self._files.parts() if path not in self._under_way]
        if everything + sum(each for _, each in reserved) + _sizes(all_paused) > self._limit:
            raise NoRoomForKeys("the service has no room for further keys; try later")
        with self._database.writing() as connection:
            count_upload(connection, tenant, arriving)


async def _remove(path: Path) -> None:
    """Delete a file, in a thread and whatever is cancelled: the disk may take long for so large a one."""
    with anyio.CancelScope(shield=True):
        await run_in_threadpool(path.unlink, missing_ok=True)


def _counted(most: int, announced: int | None) -> int:
    """Return how many bytes count before they come, and no more may come: those announced, if there may be so many."""
    return max(0, most if announced is None else min(most, announced))


def _check(upload: Path, circuit: Circuit, digest: str) -> None:
    least, received = circuit.key_bytes[0], upload.stat().st_size
    if received < least:
        raise KeysTruncated(
            f"the keys have {received} bytes, those of this segment at least {least}; upload them again",
        )
    if file_digest(upload) != digest:
        raise DigestMismatch("the keys' SHA-256 is not the one in the address; upload them again")


def _sizes(paths: list[Path]) -> int:
    total = 0
    for path in paths:
        with suppress(FileNotFoundError):  # another request may end with it
            total += path.stat().st_size
    return total
