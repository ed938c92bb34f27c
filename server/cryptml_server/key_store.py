"""Evaluation keys on disk, by circuit and digest. They compute; they do not decrypt."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import AsyncIterable
from pathlib import Path

from cryptml_server.models import Circuit
from cryptml_server.problems import Problem


class KeyStore:
    """Stores evaluation keys under names that the service derives, never the client.

    Args:
        folder: Made where it is missing, mode 0700.
        limit: Bytes of all keys together.

    Raises:
        OSError: If the folder cannot be made or written.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._limit = limit
        for leftover in folder.rglob(".upload-*"):
            leftover.unlink(missing_ok=True)

    def path(self, circuit: Circuit, digest: str) -> Path:
        """Return where keys of a checked digest (64 hexadecimal digits) lie or would lie."""
        return self._folder / circuit.identity / digest

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
        least, most = circuit.key_bytes
        self._require_room(most)
        folder = self.path(circuit, digest).parent
        descriptor, name = -1, ""
        hasher = hashlib.sha256()
        received = 0
        try:
            folder.mkdir(exist_ok=True, mode=0o700)
            descriptor, name = tempfile.mkstemp(dir=folder, prefix=".upload-")
            with os.fdopen(descriptor, "wb") as stream:
                async for block in body:
                    received += len(block)
                    if received > most:
                        raise Problem(
                            413, "Keys too long", f"evaluation keys of this segment have at most {most} bytes"
                        )
                    hasher.update(block)
                    stream.write(block)
                stream.flush()
                os.fsync(stream.fileno())
            if received < least:
                raise Problem(
                    422,
                    "Keys truncated",
                    f"the keys have {received} bytes, those of this segment at least {least}; upload them again",
                )
            if hasher.hexdigest() != digest:
                raise Problem(
                    422, "Digest mismatch", "the keys' SHA-256 is not the one in the address; upload them again"
                )
        except OSError as error:
            _remove(name)
            raise Problem(
                507, "No room for keys", f"the keys cannot be stored ({error.strerror}); try later"
            ) from error
        except BaseException:
            _remove(name)
            raise
        return Path(name)

    def keep(self, circuit: Circuit, digest: str, upload: Path) -> None:
        """Move a received upload, now known to be good, to its place."""
        upload.replace(self.path(circuit, digest))

    def delete(self, circuit: Circuit, digest: str) -> None:
        """Delete stored keys.

        Raises:
            Problem: 404 if they are not stored.
        """
        self.find(circuit, digest).unlink()

    def _require_room(self, incoming: int) -> None:
        stored = sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file())
        if stored + incoming > self._limit:
            raise Problem(
                507,
                "No room for keys",
                f"{stored} of {self._limit} bytes for keys are taken; delete keys that are not needed",
            )


def _remove(name: str) -> None:
    if name:
        Path(name).unlink(missing_ok=True)
