"""Whether bundles, data folder, database and object store can be used."""

from __future__ import annotations

import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import insert, text

from cryptml.errors import CryptmlError, counted
from cryptml_server.database import Database, DatabaseUnavailable, tenants
from cryptml_server.keys.object_store import ObjectStore
from cryptml_server.operations.administration import Administration
from cryptml_server.operations.doctor.deployment import Deployment, Finding, reason_of, size_words

CLOCK_SECONDS = 5.0

MOST_NAMED = 5
"""Budgets in a finding."""


FULL_SYNC = 2
"""SQLite's ``synchronous``: every commit is on disk before it returns."""


def check_bundles(deployment: Deployment) -> Iterator[Finding]:
    """Whether each bundle is whole, by its digests, and no two are of one model."""
    if not deployment.bundles:
        yield Finding("bundles", "wrong", "there is nothing to serve", "name folders that cryptml build wrote")
    names: set[str] = set()
    for folder, found in deployment.bundles:
        if isinstance(found, str):
            yield Finding("bundles", "wrong", f"{folder}: {found}", "build it again, or copy it again")
        elif found.model in names:
            yield Finding(
                "bundles", "wrong", f"{folder}: another bundle holds model {found.model!r}", "serve one of them"
            )
        else:
            names.add(found.model)
            yield Finding("bundles", "ok", f"{found.model} {found.split}, digest {found.digest[:16]}")


def check_data(deployment: Deployment) -> Iterator[Finding]:
    """Whether the data folder can be written, is private, and has room for the keys that may be stored."""
    folder = deployment.settings.data
    there = next((each for each in (folder, *folder.absolute().parents) if each.exists()), Path("/"))
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(b"x")
    except OSError as error:
        what = f"{there} cannot be written by this user ({reason_of(error)})"
        yield Finding("data", "wrong", what, "give the folder to the service's user")
        return
    if there != folder:
        yield Finding("data", "ok", f"{folder} is made when the service starts")
    elif stat.S_IMODE(folder.stat().st_mode) & 0o077:
        yield Finding("data", "warning", f"{folder} can be read by others", f"chmod 700 {folder}")
    else:
        yield Finding("data", "ok", f"{folder} can be written, by its owner alone")
    free, limit = shutil.disk_usage(there).free, deployment.settings.stored_key_bytes
    kept = folder / "evaluation-keys"
    used = sum(each.stat().st_size for each in kept.rglob("*") if each.is_file()) if kept.is_dir() else 0
    if free < limit - used:
        yield Finding(
            "disk",
            "warning",
            f"{size_words(free)} free, and {size_words(limit - used)} more may be stored (stored_key_bytes)",
            "lower stored_key_bytes, or make room",
        )
    else:
        yield Finding("disk", "ok", f"{size_words(free)} free for at most {size_words(max(0, limit - used))} more")


def check_database(deployment: Deployment) -> Iterator[Finding]:
    """Whether the database answers, has this version's tables, keeps what is written, and tells the same time."""
    file = deployment.settings.database_file
    if file is not None and not file.exists():
        yield Finding("database", "ok", f"{file} is made when the service starts")
        return
    database = Database(deployment.settings.database_url)
    try:
        yield from _look_into(database)
    except DatabaseUnavailable as error:
        yield Finding("database", "wrong", f"it does not answer ({error})", "check its address, and that it runs")
    finally:
        database.close()


def check_tenants(deployment: Deployment) -> Iterator[Finding]:
    """Whether anybody may ask, and each query budget bounds a segment that is served."""
    file = deployment.settings.database_file
    if deployment.settings.insecure_anonymous or (file is not None and not file.exists()):
        return
    database = Database(deployment.settings.database_url)
    try:
        database.require_current()
        entries = [each for each in Administration(database).tenants() if not each.tenant.revoked]
    except CryptmlError:
        return  # that is said of the database
    finally:
        database.close()
    if not entries:
        yield Finding("tenants", "warning", "nobody may ask", "cryptml tenants add NAME gives a clinic its token")
        return
    served = {(each.model, *each.segment) for each in deployment.circuits}
    idle = [
        f"{entry.tenant.name}: {each['model']} {each['start']}-{each['stop']}"
        for entry in entries
        for each in entry.queries
        if each["budget"] is not None and (each["model"], each["start"], each["stop"]) not in served
    ]
    if idle:
        yield Finding(
            "tenants",
            "warning",
            f"budgets bound what is not served: {', '.join(idle[:MOST_NAMED])}{', ...' if len(idle) > MOST_NAMED else ''}",
            "correct model or segment of cryptml tenants budget, or leave them for a bundle to come",
        )
    else:
        yield Finding("tenants", "ok", f"{counted(len(entries), 'tenant')} may ask")


def _look_into(database: Database) -> Iterator[Finding]:
    try:
        database.require_current()
    except CryptmlError as error:
        if database.is_embedded:
            yield Finding("database", "warning", str(error), "nothing, if it is of an older version: serve upgrades it")
        else:
            yield Finding("database", "wrong", str(error), "stop the service, run cryptml database upgrade")
        return
    yield Finding("database", "ok", "it answers, and its tables are of this version")
    with database.reading() as connection:
        if database.is_embedded:
            durable = int(connection.execute(text("PRAGMA synchronous")).scalar_one()) >= FULL_SYNC
            now: float | None = None
        else:
            names = ("fsync", "synchronous_commit")
            durable = all(connection.execute(text(f"SHOW {name}")).scalar_one() != "off" for name in names)
            now = float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    _try_to_write(database)
    if durable:
        yield Finding("durability", "ok", "it can be written, and commits are on disk before they return")
    else:
        yield Finding(
            "durability",
            "warning",
            "it can be written, but commits may be lost when the machine fails",
            "turn fsync and synchronous_commit on",
        )
    away = 0.0 if now is None else abs(now - time.time())
    if away > CLOCK_SECONDS:
        yield Finding(
            "clock", "warning", f"the database's clock is {away:.0f} s away from this machine's", "synchronise both"
        )
    else:
        yield Finding("clock", "ok", "the database and this machine tell the same time")


def check_object_store(deployment: Deployment) -> Iterator[Finding]:
    """Whether what several services share can be stored, read and deleted."""
    settings = deployment.settings
    if settings.object_store is None:
        alone = "one service alone may use this database: others would not see its keys"
        yield Finding(
            "object store", "ok", f"none; {alone}" if settings.database else "none; keys are in the data folder"
        )
        return
    try:
        ObjectStore(settings.object_store).probe()
    except (OSError, CryptmlError) as error:
        yield Finding(
            "object store", "wrong", f"it cannot be used ({reason_of(error)})", "check its address, rights and network"
        )
    else:
        yield Finding("object store", "ok", "a file was stored, read and deleted")


class _Undo(Exception):
    """Nothing of the transaction is to stay."""


def _try_to_write(database: Database) -> None:
    """Insert a row and take it back.

    Raises:
        DatabaseUnavailable: If the database cannot be written.
    """
    quotas = dict.fromkeys(("key_bytes", "keys", "concurrent_evaluations", "daily_evaluations"), 1)
    with _undone(), database.writing() as connection:
        connection.execute(insert(tenants).values(id=".doctor", name=".doctor", created=time.time(), **quotas))
        raise _Undo


@contextmanager
def _undone() -> Iterator[None]:
    try:
        yield
    except _Undo:
        return
