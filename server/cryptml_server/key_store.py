"""Evaluation keys on disk, by key set and digest. They compute; they do not decrypt."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import AsyncIterable
from pathlib import Path
from typing import BinaryIO

import anyio
from starlette.concurrency import run_in_threadpool

from cryptml_server.models import Circuit
from cryptml_server.problems import Problem

MAX_UPLOADS = 4
"""Uploads that may be under way at once; a further one is told to come back."""


class KeyStore:
    """Stores evaluation keys under names that the service derives, never the client.

    Args:
        folder: Made where it is missing, mode 0700.
        limit: Bytes of all keys together, uploads under way included.
        upload_seconds: Within which an upload must end.

    Raises:
        OSError: If the folder cannot be made or written.
    """

    def __init__(self, folder: Path, limit: int, upload_seconds: float) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._limit = limit
        self._upload_seconds = upload_seconds
        self._reserved: list[int] = []
        for leftover in folder.rglob(".upload-*"):
            leftover.unlink(missing_ok=True)

    def path(self, circuit: Circuit, digest: str) -> Path:
        """Return where keys of a checked digest (64 hexadecimal digits) lie or would lie."""
        return self._folder / circuit.key_set / digest

    def find(self, circuit: Circuit, digest: str) -> Path:
        """Return where stored keys lie.

        Raises:
            Problem: 404 if they are not stored for this circuit.
        """
        path = self.path(circuit, digest)
        if not path.is_file():
            raise Problem(
                404,
                "Unknown evaluation keys",
                f"no keys of that digest are stored for segment {circuit.index}; upload them first",
            )
        return path

    async def receive(self, circuit: Circuit, digest: str, body: AsyncIterable[bytes]) -> Path:
        """Write an upload to a temporary file of the store, checking size and digest on the way.

        Returns:
            The temporary file, to be kept with `keep` or deleted.

        Raises:
            Problem: 413 or 422 for a wrong size, 422 for another digest, 507 where there is no room.
        """
        most = circuit.key_bytes[1]
        if len(self._reserved) >= MAX_UPLOADS:
            raise Problem(503, "Too busy", f"{MAX_UPLOADS} uploads are under way; try again later", retry_after=10)
        self._reserved.append(most)
        name = ""
        try:
            await run_in_threadpool(self._require_room)
            folder = self.path(circuit, digest).parent
            folder.mkdir(exist_ok=True, mode=0o700)
            descriptor, name = tempfile.mkstemp(dir=folder, prefix=".upload-")
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
            self._reserved.remove(most)
        return Path(name)

    def keep(self, circuit: Circuit, digest: str, upload: Path) -> None:
        """Move a received upload, now known to be good, to its place.

        Raises:
            Problem: 507 if that fails.
        """
        try:
            upload.replace(self.path(circuit, digest))
        except OSError as error:
            raise Problem(
                507, "No room for keys", f"the keys cannot be stored ({error.strerror}); try later"
            ) from error

    def delete(self, circuit: Circuit, digest: str) -> None:
        """Delete stored keys, for all circuits that share them.

        Raises:
            Problem: 404 if they are not stored.
        """
        self.find(circuit, digest).unlink(missing_ok=True)

    def _require_room(self) -> None:
        stored = sum(_size(path) for path in self._folder.rglob("*") if not path.name.startswith(".upload-"))
        if stored + sum(self._reserved) > self._limit:
            raise Problem(
                507,
                "No room for keys",
                f"{stored} of {self._limit} bytes for keys are taken; delete keys that are not needed",
            )


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


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:  # deleted meanwhile
        return 0


def _remove(name: str) -> None:
    if name:
        Path(name).unlink(missing_ok=True)
