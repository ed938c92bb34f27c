"""Key sets in files of one folder: readable by their owner alone, encrypted where there is a passphrase.

A file (`key_file`) is named as its key set, so keys are found again for the circuit that they were made for, or for circuits of the
same key parameters where a bundle asks to share keys: of any service.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptml.errors import KeySetError
from cryptml.files import write_bytes
from cryptml_client.keys.file import KeySetFile, Passphrase, WrongPassphrase, seal
from cryptml_client.keys.folder import SUFFIX, KeyFolder, default_folder
from cryptml_client.keys.folder_lock import LOCK_SECONDS, locked_folder
from cryptml_client.keys.making import MadeKeys

if TYPE_CHECKING:
    from cryptml.fhe.circuit_spec import CircuitSpec
    from cryptml.fhe.client import KeySet

LEAST_DIGITS = 8
"""Of a key set's name, to say which one is meant."""


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
        KeySetError: If the passphrase is empty, or there is no folder of the user's and none is given.
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
        self._lock_seconds = lock_seconds
        self._place = KeyFolder(self._folder, self._notify)

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
        from cryptml.fhe.client import KeySet  # here, because listing and deleting keys needs none of it

        self._place.examine()
        path = self._path(spec)
        if not path.exists():
            self._encrypt_all()
            return None
        file = KeySetFile.read(path)
        if file.head["key_set"] != spec.key_set:
            raise KeySetError(f"{path.name} holds keys for another circuit; delete it to make new ones")
        keys = KeySet.deserialise(spec, file.open(self._passphrase), file.head["evaluation_keys"])
        self._encrypt_all()
        return keys

    def require_writable(self) -> None:
        """Refuse a folder that cannot be written now, rather than after keys were made for it.

        Raises:
            KeySetError: If it cannot be made or written, or others can write into it.
        """
        self._place.require_writable()

    def save(self, spec: CircuitSpec, keys: KeySet) -> Path:
        """Write keys for a circuit, mode 0600, whole or not at all.

        Raises:
            KeySetError: If they cannot be written, or are too large for one encrypted file.
        """
        digest = keys.digest  # before the payload, so that memory never holds both serialised
        return self.save_made(spec, MadeKeys(digest, keys.serialise()))

    def save_made(self, spec: CircuitSpec, made: MadeKeys) -> Path:
        """Write keys that were just made, as `save`."""
        lines, payload = seal(spec.key_set, made.evaluation_keys, made.payload, self._passphrase)
        path = self._path(spec)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._place.examine()
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
        self._place.examine()
        for path in self._place.paths():
            head, size = KeySetFile.read_head(path)
            yield StoredKeys(path, head["key_set"], head["evaluation_keys"], head["cipher"] is not None, size)

    def find(self, key_set: str) -> Path | None:
        """Return the file of the one key set that a name, or its first digits, means; damaged files too; None where there is none.

        Raises:
            KeySetError: If it is too short to mean one, or several begin so.
        """
        require_digits(key_set)
        found = [path for path in self._place.paths() if path.name.startswith(key_set)]
        if len(found) > 1:
            raise KeySetError(f"{len(found)} key sets begin with {key_set}; give more digits of the one that is meant")
        return found[0] if found else None

    def delete(self, key_set: str) -> None:
        """Delete a key set by its name, or how that begins; a damaged file too.

        Raises:
            KeySetError: If there is none, several begin so, or it is too short.
        """
        found = self.find(key_set)
        if found is None:
            raise KeySetError(f"there is no key set {key_set!r} in {self._folder}; cryptml keys list shows them")
        try:
            found.unlink()
        except OSError as error:
            raise KeySetError(f"{found} cannot be deleted ({error.strerror}); mend that and try again") from error
        self._place.remove_left()

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
        self._place.examine()
        paths = self._place.paths()
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
        for path in self._place.paths():
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

    def _write(self, path: Path, *parts: bytes) -> None:
        """Write a file in place of the old one, and see to it that the old one is not found again after a crash."""
        write_bytes(path, *parts, mode=0o600)
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _path(self, spec: CircuitSpec) -> Path:
        return self._folder / f"{spec.key_set}{SUFFIX}"


def require_digits(key_set: str) -> None:
    """Refuse a beginning of a key set's name that is too short to mean one.

    Raises:
        KeySetError: If it is.
    """
    if len(key_set) < LEAST_DIGITS:
        raise KeySetError(
            f"{key_set!r} has {len(key_set)} digits of a key set's name; give {LEAST_DIGITS} or more, as cryptml keys list shows them"
        )


def _discard_note(_: str) -> None:
    pass
