"""Stored evaluation keys, each tenant's its own. They compute; they do not decrypt."""

from __future__ import annotations

import functools
import logging
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from sqlalchemy import ColumnElement, Row, delete, func, select, update

from cryptml_server.base.clock import now
from cryptml_server.base.errors import KeysUnreadable, NoRoomForKeys, NotAuthenticated, ServerError, UnknownKeys
from cryptml_server.base.models import Circuit
from cryptml_server.database import Database, evaluation_keys, insert_if_absent, tenants
from cryptml_server.keys.files import EvaluationKeyFile, FileAltered, KeyFiles
from cryptml_server.tenancy.tenants import Tenant

USE_SECONDS = 60.0
"""Uses that follow each other so closely are noted once."""

KEY_THREADS = 8
"""That look for keys, bring and keep them: an object store may be slow, and must not hold the threads that ask the database."""

P = ParamSpec("P")
T = TypeVar("T")

_limiter: RunVar[CapacityLimiter] = RunVar("cryptml_key_threads")
_log = logging.getLogger(__name__)


async def in_key_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call what may wait for the object store in one of few threads of its own."""
    try:
        limiter = _limiter.get()
    except LookupError:  # the first call of this event loop
        limiter = CapacityLimiter(KEY_THREADS)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(functools.partial(function, *args, **kwargs), limiter=limiter)


@dataclass(frozen=True)
class StoredEvaluationKeys:
    """Evaluation keys of one tenant.

    Attributes:
        name: What workers remember them by; no two tenants' are the same.
        path: Of the file.
    """

    name: str
    path: Path


class EvaluationKeyStore:
    """Stores evaluation keys under names that the service draws, never the client.

    What is stored is in the database. A file is there before its row and goes after it, so that a crash leaves a file without a row at
    most, or, where a disk lost what it had promised, a row without a file; `sweep` removes both.

    Args:
        files: Where they lie.
        database: Says whose keys are stored, and since when they were not used.
        unused_seconds: After which keys that nobody uses are deleted.
    """

    def __init__(self, files: KeyFiles, database: Database, *, unused_seconds: float) -> None:
        self._files = files
        self._database = database
        self._unused_seconds = unused_seconds

    @property
    def shared(self) -> bool:
        """Whether other services see the same keys."""
        return self._files.shared

    def find(self, tenant: Tenant, circuit: Circuit, digest: str) -> StoredEvaluationKeys:
        """Return a tenant's stored keys, on this machine, and note that they were used.

        Raises:
            UnknownKeys: If the tenant has not stored them for this circuit, whoever else has.
            KeysUnreadable: If they cannot be read now.
        """
        place = self._require(tenant, circuit, digest)
        try:
            path = self._files.fetch(place, digest)
        except OSError as error:
            raise KeysUnreadable(f"the keys cannot be read ({error.strerror}); try later", retry_after=60) from error
        except FileAltered:
            _log.warning(
                "stored evaluation keys of tenant %s were altered in the object store: they are deleted", tenant.id
            )
            self._strike_off(tenant, circuit, digest, place)
            self._drop(place)
            raise _unknown(circuit) from None
        if path is None:
            raise _unknown(circuit)
        return StoredEvaluationKeys(keys_name(tenant.id, circuit, digest), path)

    def _require(self, tenant: Tenant, circuit: Circuit, digest: str) -> EvaluationKeyFile:
        """Return where a tenant's keys lie by their row, and note that they were used."""
        moment, place = now(), _place(tenant, circuit, digest)
        with self._database.reading() as connection:
            row = connection.execute(select(evaluation_keys.c.file, evaluation_keys.c.last_used).where(*place)).first()
        if row is None:
            raise _unknown(circuit)
        if moment - row.last_used > USE_SECONDS:
            with self._database.writing() as connection:
                connection.execute(update(evaluation_keys).where(*place).values(last_used=moment))
        return EvaluationKeyFile(tenant.id, circuit.key_set, row.file)

    def holds(self, tenant: Tenant, circuit: Circuit, digest: str) -> bool:
        """Return whether a tenant has stored keys, and their file is there.

        Raises:
            KeysUnreadable: If that cannot be told now.
        """
        try:
            place = self._require(tenant, circuit, digest)
        except UnknownKeys:
            return False
        try:
            if self._files.is_there(place):
                return True
        except OSError as error:
            raise KeysUnreadable(
                f"the keys cannot be looked for ({error.strerror}); try later", retry_after=60
            ) from error
        self._strike_off(tenant, circuit, digest, place)
        return False

    def _strike_off(self, tenant: Tenant, circuit: Circuit, digest: str, place: EvaluationKeyFile) -> None:
        """Delete the row of a file that is lost, so that the keys may be uploaded again."""
        with self._database.writing() as connection:
            lost = evaluation_keys.c.file == place.file  # another may have come meanwhile
            connection.execute(delete(evaluation_keys).where(*_place(tenant, circuit, digest), lost))

    def keep(self, tenant: Tenant, circuit: Circuit, digest: str, upload: Path) -> None:
        """Move a whole upload, now known to be good, to its place, and write its row; nothing where there is one already.

        Raises:
            NotAuthenticated: If the tenant was revoked meanwhile.
            NoRoomForKeys: If the file cannot be moved.
        """
        place = EvaluationKeyFile(tenant.id, circuit.key_set, secrets.token_hex(16))
        try:
            size = upload.stat().st_size
            self._files.require_store(self._known)
            self._files.keep(upload, place)
        except OSError as error:
            raise no_room(error) from error
        moment = now()
        row = {
            "tenant": tenant.id,
            "key_set": circuit.key_set,
            "digest": digest,
            "file": place.file,
            "bytes": size,
            "created": moment,
            "last_used": moment,
        }
        try:
            with self._database.writing() as connection:
                if connection.execute(select(tenants.c.revoked).where(tenants.c.id == tenant.id)).scalar() is not None:
                    raise NotAuthenticated("the tenant was revoked")
                insert_if_absent(connection, evaluation_keys, row)
                kept = connection.execute(
                    select(evaluation_keys.c.file).where(*_place(tenant, circuit, digest))
                ).scalar()
        except BaseException:
            self._drop(place)
            raise
        if kept != place.file:  # the same keys were uploaded twice at once
            self._drop(place)

    def delete(self, tenant: Tenant, circuit: Circuit, digest: str) -> str:
        """Delete a tenant's stored keys, for all circuits that share them, and return the name that workers remember them by.

        Raises:
            UnknownKeys: If the tenant has not stored them.
        """
        place = self._require(tenant, circuit, digest)
        with self._database.writing() as connection:
            connection.execute(delete(evaluation_keys).where(*_place(tenant, circuit, digest)))
        self._drop(place)
        return keys_name(tenant.id, circuit, digest)

    def deleted(self, names: Iterable[str]) -> list[str]:
        """Return those of some names, which workers remember keys by, that are stored no more: another service may have deleted them."""
        asked = {tuple(name.split("/")): name for name in names}
        with self._database.reading() as connection:
            stored = connection.execute(
                select(evaluation_keys.c.tenant, evaluation_keys.c.key_set, evaluation_keys.c.digest).where(
                    evaluation_keys.c.digest.in_({place[-1] for place in asked})
                )
            )
            there = {tuple(row) for row in stored}
        return [name for place, name in asked.items() if place not in there]

    def sweep(self) -> list[str]:
        """Delete keys that were not used for long or are of revoked tenants, files without a row and rows without a file.

        Unfinished uploads of revoked tenants go too, and those that pause for too long.

        Returns:
            The names of deleted keys that workers may remember.

        Raises:
            OSError: If the object store is not there; no row is deleted then.
        """
        self._files.require_store(self._known)
        with self._database.reading() as connection:
            rows = connection.execute(
                select(evaluation_keys, tenants.c.revoked).join(tenants, tenants.c.id == evaluation_keys.c.tenant)
            ).all()
        gone = []
        for row in rows:
            unused = now() - row.last_used > self._unused_seconds
            if row.revoked is not None or unused or self._is_lost(_file(row)):
                with self._database.writing() as connection:
                    connection.execute(
                        delete(evaluation_keys).where(
                            evaluation_keys.c.file == row.file, evaluation_keys.c.last_used == row.last_used
                        )
                    )
                gone.append(f"{row.tenant}/{row.key_set}/{row.digest}")
        with self._database.reading() as connection:  # some may have been used, or stored, in the same moment
            wanted = {_file(row) for row in connection.execute(select(evaluation_keys))}
            revoked = set(connection.execute(select(tenants.c.id).where(tenants.c.revoked.is_not(None))).scalars())
        self._files.sweep(wanted, known={_file(row) for row in rows}, revoked=revoked)
        return gone

    def _known(self) -> list[EvaluationKeyFile]:
        """Return all files that have rows."""
        with self._database.reading() as connection:
            return [_file(row) for row in connection.execute(select(evaluation_keys))]

    def _is_lost(self, place: EvaluationKeyFile) -> bool:
        """Return whether a file is known not to be there; where that cannot be told, a later sweep may."""
        try:
            return not self._files.is_there(place)
        except OSError as error:
            _log.warning("a file of evaluation keys could not be looked for (%s)", type(error).__name__)
            return False

    def _drop(self, place: EvaluationKeyFile) -> None:
        """Delete a file without a row; the next sweep does where it cannot be."""
        with suppress(OSError):
            self._files.delete(place)


def stored_keys(database: Database, tenant: Tenant) -> tuple[int, int]:
    """Return how many evaluation keys a tenant has stored, and their bytes."""
    with database.reading() as connection:
        count, size = connection.execute(
            select(func.count(), func.coalesce(func.sum(evaluation_keys.c.bytes), 0)).where(
                evaluation_keys.c.tenant == tenant.id
            )
        ).one()
        return int(count), int(size)


def _place(tenant: Tenant, circuit: Circuit, digest: str) -> tuple[ColumnElement[bool], ...]:
    return (
        evaluation_keys.c.tenant == tenant.id,
        evaluation_keys.c.key_set == circuit.key_set,
        evaluation_keys.c.digest == digest,
    )


def keys_name(tenant: str, circuit: Circuit, digest: str) -> str:
    """Return what workers remember a tenant's keys by."""
    return f"{tenant}/{circuit.key_set}/{digest}"


def no_room(error: OSError) -> ServerError:
    """Return what a client is told whose keys cannot be stored."""
    return NoRoomForKeys(f"the keys cannot be stored ({error.strerror}); try later")


def _unknown(circuit: Circuit) -> ServerError:
    return UnknownKeys(
        f"no keys of that digest are stored for segment {circuit.index}; upload them first",
    )


def _file(row: Row[Any]) -> EvaluationKeyFile:
    return EvaluationKeyFile(row.tenant, row.key_set, row.file)
