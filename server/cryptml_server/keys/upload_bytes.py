"""The bytes of an upload: how fast they must come, and how they reach the disk."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import anyio

from cryptml_server.base.errors import UploadTooSlow

IDLE_SECONDS = 60.0
"""Between two blocks of a body."""

LEAST_BYTES_PER_SECOND = 4096
"""Of one upload on average: a byte a minute would keep its place for as long as a request may take, and there are few places. Much slower
than any line that keys come over in the time that a request has."""

RATE_SECONDS = 60.0
"""After which an upload is asked for that rate: a line may begin slowly, or pause."""

WRITTEN_AT_ONCE = 1 << 20
"""Bytes that are gathered for one write: each is handed to a thread."""


class AppendedFile:
    """A file that grows at its end, by what waits to be written; all of it is for threads: a disk may take long.

    Attributes:
        size: Of what was there.
        waiting: Not written yet.
    """

    def __init__(self, path: Path, flags: int) -> None:
        self._file = os.open(path, flags, 0o600)
        self.size = os.fstat(self._file).st_size
        self.waiting = bytearray()

    def write(self) -> None:
        """Write what waits; where that fails, what was not written waits still, so that none is there twice."""
        while self.waiting:
            del self.waiting[: os.write(self._file, self.waiting)]

    def sync(self) -> None:
        """Write what waits, durably."""
        self.write()
        os.fsync(self._file)

    def close(self) -> None:
        """Write what waits, and be done."""
        try:
            self.write()
        finally:
            os.close(self._file)


@dataclass(frozen=True)
class LeastRate:
    """How fast an upload must come.

    Attributes:
        after_seconds: After which it is asked for.
        bytes_per_second: On average since the upload began, at least.
    """

    after_seconds: float = RATE_SECONDS
    bytes_per_second: int = LEAST_BYTES_PER_SECOND

    def require(self, received: int, seconds: float) -> None:
        """Refuse an upload that has come too slowly for too long.

        Args:
            received: Bytes so far.
            seconds: For which it has come.

        Raises:
            UploadTooSlow: If it has.
        """
        if seconds > self.after_seconds and received < self.bytes_per_second * seconds:
            raise UploadTooSlow(
                f"{received} bytes came in {seconds:.0f} s, fewer than {self.bytes_per_second} a second; try again on a faster line",
            )


USUAL_RATE = LeastRate()
"""Of every upload, where no other is asked for."""


async def steadily(body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield a body's blocks; one that does not come for long is a `TimeoutError`: others may want the place."""
    blocks = aiter(body)
    while True:
        with anyio.fail_after(IDLE_SECONDS):
            block = await anext(blocks, None)
        if block is None:
            return
        yield block
