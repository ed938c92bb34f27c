"""Keys are deleted here, and their evaluation half at every service that got it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cryptml.errors import CryptmlError, KeySetError, ServiceRefused
from cryptml_client.keys.file import KeySetFile
from cryptml_client.keys.store import KeyStore, require_digits
from cryptml_client.keys.uses import KeyUse, KeyUses

if TYPE_CHECKING:
    from cryptml_client.transport import Transport

Connect = Callable[[str], "Transport"]
"""Returns a connection to the service of an address; whoever asks for it closes it."""

DELETE_SECONDS = 30.0

NOTHING_LEFT = frozenset(("unknown-evaluation-keys", "unknown-model", "unknown-segment"))
"""Kinds of problems that say that a service has nothing to delete."""


@dataclass(frozen=True)
class KeySetEntry:
    """A key set as people know it.

    Attributes:
        key_set: Its name.
        file: That holds it here; None where only services hold its evaluation half still.
        made: Day of the file, ISO 8601, local time; empty where there is none.
        evaluation_keys: Digest of its evaluation half; empty where the file is damaged.
        encrypted: Whether a passphrase opens it.
        size_bytes: Of the keys here, 0 where there are none.
        uses: Services that hold its evaluation half.
    """

    key_set: str
    file: Path | None
    made: str
    evaluation_keys: str
    encrypted: bool
    size_bytes: int
    uses: tuple[KeyUse, ...]


def key_sets(store: KeyStore) -> list[KeySetEntry]:
    """Return all key sets of a folder, and those whose evaluation half alone is left, at services.

    Raises:
        KeySetError: If a file is damaged.
    """
    every = KeyUses(store.folder).entries()
    stored = list(store.list())
    found = [
        KeySetEntry(
            each.key_set,
            each.path,
            _day(each.path),
            each.evaluation_keys,
            each.encrypted,
            each.size_bytes,
            tuple(use for use in every if use.key_set == each.key_set),
        )
        for each in stored
    ]
    here = {each.key_set for each in stored}
    for name in dict.fromkeys(use.key_set for use in every if use.key_set not in here):
        uses = tuple(use for use in every if use.key_set == name)
        found.append(KeySetEntry(name, None, "", uses[-1].evaluation_keys, False, 0, uses))
    return found


def key_set_named(store: KeyStore, name: str) -> KeySetEntry:
    """Return the one key set that a name, or its first digits, means; one whose file is damaged too.

    Raises:
        KeySetError: If it is too short, means none, or several.
    """
    require_digits(name)
    file = store.find(name)
    uses = [use for use in KeyUses(store.folder).entries() if use.key_set.startswith(name)]
    meant = {use.key_set for use in uses} | ({file.stem} if file is not None else set())
    if not meant:
        raise KeySetError(f"there is no key set {name!r} in {store.folder}; cryptml keys list shows them")
    if len(meant) > 1:
        raise KeySetError(f"{len(meant)} key sets begin with {name}; give more digits of the one that is meant")
    digest, encrypted, size = "", False, 0
    if file is not None:
        with suppress(KeySetError):  # damaged: it can be deleted all the same
            head, size = KeySetFile.read_head(file)
            digest, encrypted = head["evaluation_keys"], head["cipher"] is not None
    made = "" if file is None else _day(file)
    return KeySetEntry(meant.pop(), file, made, digest, encrypted, size, tuple(uses))


def delete_keys(store: KeyStore, entry: KeySetEntry, connect: Connect | None) -> int:
    """Delete a key set here, then its evaluation half at the services, and return at how many.

    Args:
        store: That holds it.
        entry: Of it.
        connect: To the services; None to leave what they hold.

    Raises:
        KeySetError: If it cannot be deleted here, or a service cannot be reached: with what is left there.
    """
    if entry.file is not None:
        store.delete(entry.key_set)
    if connect is None:
        KeyUses(store.folder).forget(entry.uses)
        return 0
    gone, left = [], []
    for use in entry.uses:
        try:
            _delete_there(use, connect)
            gone.append(use)
        except CryptmlError as error:
            left.append(f"{use.service} (model {use.model}, evaluation keys {use.evaluation_keys[:16]}: {error})")
    KeyUses(store.folder).forget(gone)
    if left:
        raise KeySetError(
            f"key set {entry.key_set[:16]} is deleted here, but its evaluation half, which cannot decrypt, is left at {'; '.join(left)}; "
            f"mend that and give the same command again, or ask its provider to delete it"
        )
    return len(gone)


def services_of(uses: Sequence[KeyUse]) -> str:
    """Return the services of uses for people, each once."""
    return ", ".join(dict.fromkeys(each.service for each in uses))


def models_of(uses: Sequence[KeyUse]) -> str:
    """Return the models of uses for people, each once."""
    return ", ".join(dict.fromkeys(each.model for each in uses))


def _delete_there(use: KeyUse, connect: Connect) -> None:
    path = f"/v1/models/{use.model}/evaluation-keys/{use.evaluation_keys}"
    with connect(use.service) as transport:
        try:
            transport.request("DELETE", path, limit=0, query={"segment": use.segment}, within=DELETE_SECONDS)
        except ServiceRefused as refusal:
            if refusal.kind not in NOTHING_LEFT:
                raise


def _day(file: Path) -> str:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC).astimezone().date().isoformat()
