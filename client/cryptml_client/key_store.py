"""Key sets in files of one folder: readable by their owner alone, encrypted where there is a passphrase.

A file is one line of magic, one line of JSON, then the payload: Concrete's keys as they are, or encrypted with AES-256-GCM under
a key that scrypt (RFC 7914) derives from the passphrase. A file is named as its key set, so keys are found again for
the circuit that they were made for, or for circuits of the same key parameters where a bundle asks to share keys: of any service.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from platformdirs import user_data_path

from cryptml.errors import KeySetError
from cryptml.fhe.circuit import CircuitSpec
from cryptml.fhe.client import KeySet
from cryptml.files import sha256, write_bytes

MAGIC = b"CRYPTML-KEYS 2\n"
SUFFIX = ".keys"
SCRYPT = {"n": 1 << 17, "r": 8, "p": 1}
"""OWASP's recommended least cost for scrypt (Password Storage Cheat Sheet, 2024): 128 MiB of memory."""

MAX_HEAD_BYTES = 4096
MAX_SEALED_BYTES = (1 << 31) - 1
"""AES-GCM's limit in the library for one message."""


@dataclass(frozen=True)
class StoredKeys:
    """What can be said of a key file without opening it."""

    path: Path
    key_set: str
    evaluation_keys: str
    encrypted: bool
    size_bytes: int


class KeyStore:
    """A folder of key files on the client.

    Args:
        folder: Made with mode 0700 where it is missing; the user's data folder by default.
        passphrase: Encrypts the files; None leaves them to the file system's permissions.
    """

    def __init__(self, folder: Path | None = None, passphrase: str | None = None) -> None:
        self._folder = folder if folder is not None else default_folder()
        self._passphrase = passphrase

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return self._folder

    def load(self, spec: CircuitSpec) -> KeySet | None:
        """Return the keys for a circuit, None where there are none.

        Raises:
            KeySetError: If the file is damaged, foreign, open to others, or locked by another passphrase.
        """
        path = self._path(spec)
        if not path.exists():
            return None
        head, payload = _read(path)
        if head["key_set"] != spec.key_set:
            raise KeySetError(f"{path.name} holds keys for another circuit; delete it to make new ones")
        keys = KeySet.deserialise(spec, self._open(path, head, payload))
        if keys.digest != head["evaluation_keys"]:
            raise KeySetError(f"{path.name} was altered; delete it to make new keys")
        return keys

    def save(self, spec: CircuitSpec, keys: KeySet) -> Path:
        """Write keys for a circuit, mode 0600, whole or not at all.

        Raises:
            KeySetError: If they cannot be written, or are too large for one encrypted file.
        """
        digest = keys.digest  # before the payload, so that memory never holds both serialised
        payload = keys.serialise()
        head: dict[str, Any] = {
            "key_set": spec.key_set,
            "evaluation_keys": digest,
            "sha256": sha256(payload),
            "cipher": None,
        }
        if self._passphrase is not None:
            if len(payload) > MAX_SEALED_BYTES:
                raise KeySetError(
                    f"keys of {len(payload)} bytes exceed {MAX_SEALED_BYTES}; store them without a passphrase"
                )
            salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
            head["cipher"] = {
                "name": "AES-256-GCM",
                "kdf": "scrypt",
                **SCRYPT,
                "salt": salt.hex(),
                "nonce": nonce.hex(),
            }
            head["sha256"] = None
            payload = AESGCM(self._derive(salt)).encrypt(nonce, payload, head["key_set"].encode())
        path = self._path(spec)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_bytes(path, MAGIC + json.dumps(head).encode() + b"\n", payload, mode=0o600)
        except OSError as error:
            raise KeySetError(
                f"the keys cannot be written to {self._folder} ({error.strerror}); choose another folder"
            ) from error
        return path

    def list(self) -> Iterator[StoredKeys]:
        """Yield what is known of each key file, by name.

        Raises:
            KeySetError: If one is damaged.
        """
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            head, payload = _read(path)
            yield StoredKeys(path, head["key_set"], head["evaluation_keys"], head["cipher"] is not None, len(payload))

    def delete(self, key_set: str) -> None:
        """Delete a key set by its name, or all whose names begin so; damaged files too.

        Raises:
            KeySetError: If there are none.
        """
        found = [path for path in self._folder.glob(f"*{SUFFIX}") if key_set and path.name.startswith(key_set)]
        if not found:
            raise KeySetError(f"there is no key set {key_set!r} in {self._folder}; cryptml keys list shows them")
        for path in found:
            path.unlink()

    def _path(self, spec: CircuitSpec) -> Path:
        return self._folder / f"{spec.key_set}{SUFFIX}"

    def _open(self, path: Path, head: dict[str, Any], payload: bytes) -> bytes:
        cipher = head["cipher"]
        if cipher is None:
            if sha256(payload) != head["sha256"]:
                raise KeySetError(f"{path.name} was altered or cut short; delete it to make new keys")
            return payload
        if self._passphrase is None:
            raise KeySetError(f"{path.name} is encrypted; give its passphrase")
        try:
            salt, nonce = bytes.fromhex(cipher["salt"]), bytes.fromhex(cipher["nonce"])
            if {name: cipher[name] for name in SCRYPT} != SCRYPT or cipher["name"] != "AES-256-GCM":
                raise KeySetError(
                    f"{path.name} was encrypted with other settings than this version's; delete it to make new keys"
                )
            return AESGCM(self._derive(salt)).decrypt(nonce, payload, head["key_set"].encode())
        except InvalidTag as error:
            raise KeySetError(f"{path.name} does not open: another passphrase, or the file was altered") from error
        except (KeyError, TypeError, ValueError) as error:
            raise KeySetError(f"{path.name} has a damaged head; delete it to make new keys") from error

    def _derive(self, salt: bytes) -> bytes:
        if self._passphrase is None:
            raise KeySetError("a passphrase is needed")
        return Scrypt(salt=salt, length=32, **SCRYPT).derive(self._passphrase.encode())


def default_folder() -> Path:
    """Return where keys lie unless told otherwise."""
    return user_data_path("cryptml") / "keys"


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return head and payload of a key file that only its owner can read."""
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode & 0o077
            if mode:
                raise KeySetError(f"{path} can be read by others (mode {mode:03o} for them); run chmod 600 on it")
            magic = stream.readline(len(MAGIC))
            line = stream.readline(MAX_HEAD_BYTES)
            payload = stream.read()
    except OSError as error:
        raise KeySetError(f"{path} cannot be read ({error.strerror})") from error
    try:
        head = json.loads(line)
        if magic != MAGIC or not _is_head(head):
            raise ValueError("magic or head")
    except ValueError as error:
        raise KeySetError(f"{path.name} is not a key file of this version; delete it to make new keys") from error
    return head, payload


def _is_head(head: Any) -> bool:
    if not isinstance(head, dict) or {"key_set", "evaluation_keys", "sha256", "cipher"} - set(head):
        return False
    digests = [head["key_set"], head["evaluation_keys"], *([] if head["sha256"] is None else [head["sha256"]])]
    named = all(isinstance(digest, str) and re.fullmatch(r"[0-9a-f]{64}", digest) for digest in digests)
    return named and (head["cipher"] is None or isinstance(head["cipher"], dict))
