"""A key file: one line of magic, one line of JSON, then the payload, in the clear or encrypted under a passphrase.

The payload is Concrete's keys. Encrypted it is AES-256-GCM under a key that scrypt (RFC 7914) derives from the passphrase.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from cryptml.errors import KeySetError
from cryptml.files import read_json, sha256

MAGIC = b"CRYPTML-KEYS 2\n"
SCRYPT = {"n": 1 << 17, "r": 8, "p": 1}
"""OWASP's recommended least cost for scrypt (Password Storage Cheat Sheet, 2024): 128 MiB of memory."""

MAX_HEAD_BYTES = 4096
MAX_SEALED_BYTES = (1 << 31) - 1
"""AES-GCM's limit in the library for one message."""


class WrongPassphrase(KeySetError):
    """A file does not open with the passphrase: it has another one, or was altered."""


class Passphrase:
    """What key files are encrypted under; never shown.

    Raises:
        KeySetError: If it is blank, or cannot be encoded.
    """

    def __init__(self, text: str) -> None:
        if not text.strip():
            raise KeySetError("the passphrase is empty; give one, or none at all to keep key files in the clear")
        try:
            self._bytes = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise KeySetError("the passphrase holds characters that cannot be encoded; give another one") from None

    def key(self, salt: bytes) -> bytes:
        """Return the 32 bytes that scrypt makes of it.

        Raises:
            KeySetError: If there is no memory for that.
        """
        try:
            return Scrypt(salt=salt, length=32, **SCRYPT).derive(self._bytes)
        except MemoryError as error:
            raise KeySetError("128 MiB of memory are needed to open or encrypt keys; close other programs") from error


@dataclass(frozen=True)
class KeySetFile:
    """A key file as it is on disk.

    Attributes:
        path: Where it lies.
        head: Digests of the key set and of its evaluation half, and how the payload is encrypted.
        payload: The rest.
    """

    path: Path
    head: dict[str, Any]
    payload: bytes

    @staticmethod
    def read(path: Path) -> KeySetFile:
        """Return a key file that only its owner can read.

        Raises:
            KeySetError: If others can, or it is none.
        """
        with _opened(path) as stream:
            head = _read_head(path, stream)
            return KeySetFile(path, head, stream.read())

    @staticmethod
    def read_head(path: Path) -> tuple[dict[str, Any], int]:
        """Return the head alone, and how many bytes follow it.

        Raises:
            KeySetError: As `read`.
        """
        with _opened(path) as stream:
            head = _read_head(path, stream)
            return head, os.fstat(stream.fileno()).st_size - stream.tell()

    @property
    def encrypted(self) -> bool:
        """Whether a passphrase is needed."""
        return self.head["cipher"] is not None

    def open(self, passphrase: Passphrase | None) -> bytes:
        """Return the keys.

        Raises:
            WrongPassphrase: If the passphrase is another one.
            KeySetError: If there is none and one is needed, or the file is damaged.
        """
        cipher, name = self.head["cipher"], self.path.name
        if cipher is None:
            if sha256(self.payload) != self.head["sha256"]:
                raise KeySetError(f"{name} was altered or cut short; delete it to make new keys")
            return self.payload
        if passphrase is None:
            raise KeySetError(f"{name} is encrypted; give its passphrase")
        try:
            salt, nonce = bytes.fromhex(cipher["salt"]), bytes.fromhex(cipher["nonce"])
            if {each: cipher[each] for each in SCRYPT} != SCRYPT or cipher["name"] != "AES-256-GCM":
                raise KeySetError(
                    f"{name} was encrypted with other settings than this version's; delete it to make new keys"
                )
            return AESGCM(passphrase.key(salt)).decrypt(nonce, self.payload, self.head["key_set"].encode())
        except InvalidTag as error:
            raise WrongPassphrase(f"{name} does not open: another passphrase, or the file was altered") from error
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise KeySetError(f"{name} has a damaged head; delete it to make new keys") from error


def seal(key_set: str, evaluation_keys: str, payload: bytes, passphrase: Passphrase | None) -> tuple[bytes, bytes]:
    """Return a key file's first two lines, and what follows them.

    Args:
        key_set: Digest of the key set's parameters.
        evaluation_keys: Digest of its evaluation half.
        payload: The keys, secret half and all.
        passphrase: To encrypt them under; None for not at all.

    Raises:
        KeySetError: If they are too large for one encrypted file.
    """
    head: dict[str, Any] = {"key_set": key_set, "evaluation_keys": evaluation_keys}
    if passphrase is None:
        head |= {"sha256": sha256(payload), "cipher": None}
    else:
        if len(payload) > MAX_SEALED_BYTES:
            raise KeySetError(
                f"keys of {len(payload)} bytes exceed {MAX_SEALED_BYTES}; store them without a passphrase"
            )
        salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
        cipher = {"name": "AES-256-GCM", "kdf": "scrypt", **SCRYPT, "salt": salt.hex(), "nonce": nonce.hex()}
        head |= {"sha256": None, "cipher": cipher}
        payload = AESGCM(passphrase.key(salt)).encrypt(nonce, payload, key_set.encode())
    return MAGIC + json.dumps(head).encode() + b"\n", payload


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a plain file that only its owner can read."""
    try:
        # A pipe under that name would hold whoever waits for it to be opened.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise KeySetError(f"{path} is not a plain file; move it away to make new keys")
            if mode & 0o077:
                raise KeySetError(
                    f"{path} can be read by others (mode {mode & 0o077:03o} for them); run chmod 600 on it"
                )
            yield stream
    except OSError as error:
        raise KeySetError(f"{path} cannot be read ({error.strerror})") from error


def _read_head(path: Path, stream: BinaryIO) -> dict[str, Any]:
    """Read magic and head, up to the payload."""
    foreign = f"{path.name} is not a key file of this version; delete it to make new keys"
    if stream.readline(len(MAGIC)) != MAGIC:
        raise KeySetError(foreign)
    try:
        head = read_json(stream.readline(MAX_HEAD_BYTES), path.name, KeySetError)
    except KeySetError as error:
        raise KeySetError(foreign) from error
    if not _is_head(head):
        raise KeySetError(foreign)
    found: dict[str, Any] = head
    return found


def _is_head(head: Any) -> bool:
    if not isinstance(head, dict) or {"key_set", "evaluation_keys", "sha256", "cipher"} - set(head):
        return False
    digests = [head["key_set"], head["evaluation_keys"], *([] if head["sha256"] is None else [head["sha256"]])]
    named = all(isinstance(digest, str) and re.fullmatch(r"[0-9a-f]{64}", digest) for digest in digests)
    return named and (head["cipher"] is None or isinstance(head["cipher"], dict))
