"""Key sets in files of one folder: readable by their owner alone, encrypted where there is a passphrase.

A file (`key_file`) is named as its key set, so keys are found again for the circuit that they were made for, or for circuits of the
same key parameters where a bundle asks to share keys: of any service.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path

from cryptml.errors import KeySetError
from cryptml.fhe.circuit import CircuitSpec
from cryptml.fhe.client import KeySet
from cryptml.files import write_bytes
from cryptml_client.keys.file import KeySetFile, Passphrase, WrongPassphrase, seal
from cryptml_client.keys.folder_lock import LOCK_SECONDS, locked_folder

SUFFIX = ".keys"

_left = re.compile(r"\.[0-9a-f]{64}\.keys\.[a-z0-9_]{8}")
"""How `write_bytes` names a key file until it is whole: what is so named while nobody writes was left by a program that was killed."""


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

    With a passphrase no file stays in the clear: one that is found so is encrypted when it is loaded. What a killed program left of a
    file is removed. Either is told. The blocks of a disk on which a removed file lay may keep its content until they are written anew.

    Args:
        folder: Made with mode 0700 where it is missing; the user's data folder by default. One that others may write into is refused.
        passphrase: Encrypts the files; None leaves them to the file system's permissions.
        notify: Told, in a sentence, what was done about files in the clear, and who else can list the folder.
        lock_seconds: For which another program that writes into the folder is waited for.

    Raises:
        KeySetError: If the passphrase is empty.
    """

    def __init__(
        self,
        folder: Path | None = None,
        passphrase: str | None = None,
        *,
        notify: Callable[[str], None] | None = None,
        lock_seconds: float = LOCK_SECONDS,
    ) -> None:
        self._folder = folder if folder is not None else default_folder()
        self._passphrase = Passphrase(passphrase) if passphrase is not None else None
        self._notify = notify if notify is not None else _discard_note
        self._warned = False
        self._lock_seconds = lock_seconds

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return self._folder

    def load(self, spec: CircuitSpec) -> KeySet | None:
        """Return the keys for a circuit, None where there are none.

        Raises:
            KeySetError: If the file is damaged, foreign, open to others, or locked by another passphrase; if it lies in the clear, there
                is a passphrase, and it cannot be encrypted.
        """
        self._examine()
        path = self._path(spec)
        if not path.exists():
            self._encrypt_all()
            return None
        file = KeySetFile.read(path)
        if file.head["key_set"] != spec.key_set:
            raise KeySetError(f"{path.name} holds keys for another circuit; delete it to make new ones")
        keys = KeySet.deserialise(spec, file.open(self._passphrase))
        if keys.digest != file.head["evaluation_keys"]:
            raise KeySetError(f"{path.name} was altered; delete it to make new keys")
        self._encrypt_all()
        return keys

    def save(self, spec: CircuitSpec, keys: KeySet) -> Path:
        """Write keys for a circuit, mode 0600, whole or not at all.

        Raises:
            KeySetError: If they cannot be written, or are too large for one encrypted file.
        """
        digest = keys.digest  # before the payload, so that memory never holds both serialised
        lines, payload = seal(spec.key_set, digest, keys.serialise(), self._passphrase)
        path = self._path(spec)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._examine()
            with locked_folder(self._folder, self._lock_seconds):
                self._write(path, lines, payload)
        except OSError as error:
            raise KeySetError(
                f"the keys cannot be written to {self._folder} ({error.strerror}); choose another folder"
            ) from error
        self._encrypt_all()
        return path

    def list(self) -> Iterator[StoredKeys]:
        """Yield what is known of each key file, by name.

        Raises:
            KeySetError: If one is damaged.
        """
        self._examine()
        for path in self._paths():
            file = KeySetFile.read(path)
            head = file.head
            yield StoredKeys(path, head["key_set"], head["evaluation_keys"], file.encrypted, len(file.payload))

    def delete(self, key_set: str) -> None:
        """Delete a key set by its name, or all whose names begin so; damaged files too.

        Raises:
            KeySetError: If there are none.
        """
        found = [path for path in self._paths() if key_set and path.name.startswith(key_set)]
        if not found:
            raise KeySetError(f"there is no key set {key_set!r} in {self._folder}; cryptml keys list shows them")
        for path in found:
            path.unlink()
        self._remove_left()

    def change_passphrase(self, new: str | None) -> int:
        """Encrypt every key file under another passphrase, or none.

        No file is changed before all are known to open. A change that was interrupted is completed by the next one: files that open with
        the new passphrase already stay as they are.

        Args:
            new: The passphrase from now on; None to leave the files in the clear.

        Returns:
            How many files were changed.

        Raises:
            KeySetError: If there is no file, one does not open with the store's passphrase, or one cannot be written.
        """
        wanted = Passphrase(new) if new is not None else None
        self._examine()
        paths = self._paths()
        if not paths:
            raise KeySetError(f"there are no keys in {self._folder}; cryptml keys make makes them")
        changed = 0
        try:
            with locked_folder(self._folder, self._lock_seconds):
                todo = [path for path in paths if self._needs(path, wanted)]
                for path in todo:
                    file = KeySetFile.read(path)
                    head = file.head
                    lines, payload = seal(head["key_set"], head["evaluation_keys"], file.open(self._passphrase), wanted)
                    self._write(path, lines, payload)
                    changed += 1
        except OSError as error:
            raise KeySetError(
                f"{changed} files in {self._folder} have the new passphrase, the others are as they were: one cannot be written "
                f"({error.strerror}); mend that and change it again"
            ) from error
        self._passphrase = wanted
        return changed

    def _needs(self, path: Path, wanted: Passphrase | None) -> bool:
        """Return whether a file is to be written anew, once it is known that it can be."""
        file = KeySetFile.read(path)
        try:
            file.open(self._passphrase)
        except WrongPassphrase:
            if wanted is None:
                raise
            file.open(wanted)
            return False
        return file.encrypted or wanted is not None

    def _encrypt_all(self) -> None:
        """Encrypt every file that lies in the clear though there is a passphrase, whichever keys are wanted now.

        Raises:
            KeySetError: If one cannot be encrypted.
        """
        if self._passphrase is None:
            return
        for path in self._paths():
            try:
                file = KeySetFile.read(path)
                if file.encrypted:
                    continue
                file.open(None)
            except KeySetError as error:  # whoever wants these keys is told; the others' keys are not held up
                self._notify(
                    f"{path.name} could not be looked into ({str(error).partition(';')[0]}), and may lie in the clear"
                )
                continue
            self._encrypt(file)

    def _encrypt(self, file: KeySetFile) -> None:
        """Encrypt a file that lies in the clear though there is a passphrase."""
        head, path = file.head, file.path
        try:
            lines, payload = seal(head["key_set"], head["evaluation_keys"], file.payload, self._passphrase)
            with locked_folder(self._folder, self._lock_seconds):
                self._write(path, lines, payload)
        except (OSError, KeySetError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error).partition(";")[0]
            raise KeySetError(
                f"the keys in {path} stay in the clear though there is a passphrase: they cannot be encrypted ({reason}); let the folder "
                "be written, or give no passphrase to use them as they are"
            ) from error
        self._notify(
            f"the keys in {path.name} lay in the clear and are encrypted now; their old blocks may remain on the disk until it reuses them"
        )

    def _examine(self) -> None:
        """Refuse a folder whose files others can replace, and remove what a killed program left in it."""
        try:
            mode = self._folder.stat().st_mode & 0o777
        except OSError:
            return  # there is none, or whoever reads in it says so
        if mode & 0o022:
            raise KeySetError(
                f"{self._folder} can be written by others (mode {mode:03o}), who could replace the keys; run chmod 700 on it"
            )
        if mode & 0o055 and not self._warned:
            self._warned = True
            self._notify(
                f"others can see which keys lie in {self._folder} (mode {mode:03o}), not the keys; chmod 700 keeps that from them"
            )
        self._remove_left()

    def _remove_left(self) -> None:
        try:
            if not any(_left.fullmatch(name) for name in os.listdir(self._folder)):  # noqa: PTH208 (names are what is wanted)
                return
            with locked_folder(self._folder, seconds=0) as alone:
                if not alone:
                    return  # one of them is being written
                for name in filter(_left.fullmatch, os.listdir(self._folder)):  # noqa: PTH208
                    (self._folder / name).unlink()
                    self._notify(
                        f"{name} was removed: an interrupted program had left it, with keys or a part of them; its blocks may remain on "
                        "the disk until it reuses them"
                    )
        except OSError as error:
            raise KeySetError(
                f"an interrupted program left keys in {self._folder} that cannot be removed ({error.strerror}); remove the files whose "
                "names begin with a dot"
            ) from error

    def _write(self, path: Path, *parts: bytes) -> None:
        """Write a file in place of the old one, and see to it that the old one is not found again after a crash."""
        write_bytes(path, *parts, mode=0o600)
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _paths(self) -> Sequence[Path]:
        return sorted(path for path in self._folder.glob(f"*{SUFFIX}") if not path.name.startswith("."))

    def _path(self, spec: CircuitSpec) -> Path:
        return self._folder / f"{spec.key_set}{SUFFIX}"


def default_folder() -> Path:
    """Return where keys lie unless told otherwise."""
    return user_data_path("cryptml") / "keys"


def _discard_note(_: str) -> None:
    pass
