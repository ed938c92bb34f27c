"""Evaluation keys from the first byte of their upload to their deletion: one place owns the order."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from starlette.concurrency import run_in_threadpool

from cryptml_server.base.errors import UnknownKeys
from cryptml_server.base.models import Circuit
from cryptml_server.keys.store import KeyStore, StoredKeys, in_key_thread, keys_name
from cryptml_server.keys.uploads import UploadService
from cryptml_server.tenancy.tenants import Tenant


class KeyUser(Protocol):
    """What deserialises evaluation keys and remembers them: the workers."""

    async def check_keys(self, tenant: str, path: Path, name: str) -> None:
        """Deserialise uploaded keys, which proves them well formed.

        Raises:
            ServerError: If they are malformed, or nothing can deserialise them now.
        """
        ...

    def forget(self, names: Iterable[str]) -> None:
        """Drop keys that are stored no more."""
        ...


@dataclass(frozen=True)
class KeyUpload:
    """What a client sends: all of a key set, or a part of it.

    Attributes:
        digest: SHA-256 of the whole, which is the keys' address.
        body: Its blocks.
        announced: Bytes of the body, where they are known; -1 where what was said is no length.
        offset: Bytes of the whole before this part; None for all in one request.
        length: Bytes of the whole, with a part.
    """

    digest: str
    body: AsyncIterable[bytes]
    announced: int | None = None
    offset: int | None = None
    length: int = 0


@dataclass(frozen=True)
class Receipt:
    """What became of an upload.

    Attributes:
        stored: Whether all of the keys are stored now.
        new: Whether they were not before.
        offset: Bytes that are there, where not all are.
    """

    stored: bool
    new: bool = False
    offset: int = 0


class KeyService:
    """Receives, finds and deletes a tenant's evaluation keys.

    Args:
        store: Knows whose they are.
        uploads: Receives their bytes.
        user: Checks them, and is told what to forget.
    """

    def __init__(self, store: KeyStore, uploads: UploadService, user: KeyUser) -> None:
        self._store = store
        self._uploads = uploads
        self._user = user

    async def receive(self, tenant: Tenant, circuit: Circuit, upload: KeyUpload) -> Receipt:
        """Take evaluation keys in, in this order: are they stored; may they come; their bytes, size and digest; a worker; their row.

        Raises:
            ServerError: As `UploadService.whole`, `UploadService.part`, `KeyUser.check_keys` and `KeyStore.keep`.
        """
        digest = upload.digest
        if await in_key_thread(self._store.holds, tenant, circuit, digest):
            return Receipt(stored=True)
        if upload.offset is None:
            whole = self._uploads.whole(tenant, circuit, digest, upload.body, announced=upload.announced)
            async with whole as path:
                await self._keep(tenant, circuit, digest, path)
            return Receipt(stored=True, new=True)
        part = self._uploads.part(
            tenant,
            circuit,
            digest,
            upload.body,
            offset=upload.offset,
            length=upload.length,
            announced=upload.announced,
        )
        async with part as (path, there):
            if there < upload.length:
                return Receipt(stored=False, offset=there)
            await self._keep(tenant, circuit, digest, path)
        return Receipt(stored=True, new=True)

    async def find(self, tenant: Tenant, circuit: Circuit, digest: str) -> StoredKeys:
        """Return a tenant's stored keys, on this machine; see `KeyStore.find`."""
        return await in_key_thread(self._store.find, tenant, circuit, digest)

    async def require(self, tenant: Tenant, circuit: Circuit, digest: str) -> None:
        """Return if a tenant has stored keys.

        Raises:
            UnknownKeys: If not, with the bytes of an unfinished upload.
        """
        if not await in_key_thread(self._store.holds, tenant, circuit, digest):
            there = await run_in_threadpool(self._uploads.offset, tenant, circuit, digest)
            raise UnknownKeys("they are not stored", offset=there)

    async def delete(self, tenant: Tenant, circuit: Circuit, digest: str) -> None:
        """Delete stored keys, and what is there of an unfinished upload.

        Raises:
            UnknownKeys: If there is neither.
        """
        discarded = await run_in_threadpool(self._uploads.discard, tenant, circuit, digest)
        try:
            self._user.forget([await in_key_thread(self._store.delete, tenant, circuit, digest)])
        except UnknownKeys:
            if not discarded:
                raise

    async def _keep(self, tenant: Tenant, circuit: Circuit, digest: str, path: Path) -> None:
        await self._user.check_keys(tenant.id, path, keys_name(tenant.id, circuit, digest))
        await in_key_thread(self._store.keep, tenant, circuit, digest, path)
