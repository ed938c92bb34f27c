"""Owners of the processes that read pictures: reused, limited, replaced where one dies."""

from __future__ import annotations

import atexit
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from cryptml.errors import ImageError
from cryptml.images.image import Image
from cryptml.images.limits import MAX_PIXELS, READ_SECONDS
from cryptml.processes.child import Child
from cryptml.processes.environment import reduced_environment

MODULE = "cryptml.images.decoder_process"
MOST_SOURCE = 80
"""Characters of what a process says that a picture was encoded as."""


class DecoderPool:
    """As many decoding processes as are needed at once; each reads one picture after another.

    What they say is compared with what it can be: native code that read a hostile file may have taken one over.
    """

    def __init__(self) -> None:
        self._idle: list[Child] = []
        self._lock = threading.Lock()
        self._owner = os.getpid()

    def describe(self, path: Path) -> dict[str, Any]:
        """Return what a file holds: ``frames`` and, of DICOM, ``view`` and ``laterality``.

        Raises:
            ImageError: If it cannot be read.
        """
        reply, _ = self._ask({"do": "describe", "path": str(path)}, payload=False)
        frames = reply.get("frames")
        if not isinstance(frames, int) or frames < 1:
            raise ImageError("its decoder answered something that is no answer; export it again")
        return reply

    def read(self, path: Path, places: range) -> Image:
        """Return one picture of a file: a frame, or the brightest values of several.

        Args:
            path: Of the file.
            places: Of the frames, from 0.

        Raises:
            ImageError: If it cannot be read.
        """
        request = {"do": "read", "path": str(path), "first": places[0], "last": places[-1]}
        reply, data = self._ask(request, payload=True)
        rows, columns, source = reply.get("rows"), reply.get("columns"), reply.get("source")
        if not (isinstance(rows, int) and isinstance(columns, int) and isinstance(source, str)):
            raise ImageError("its decoder answered something that is no answer; export it again")
        if min(rows, columns) < 1 or rows * columns * 4 != len(data):
            raise ImageError("its decoder answered something that is no picture; export it again")
        return Image(np.frombuffer(data, np.float32).reshape(rows, columns), source[:MOST_SOURCE])

    def close(self) -> None:
        """End the processes that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        if os.getpid() == self._owner:
            for child in idle:
                child.stop()

    def _ask(self, request: dict[str, Any], *, payload: bool) -> tuple[dict[str, Any], bytes]:
        child = self._take()
        deadline = time.monotonic() + READ_SECONDS
        try:
            reply = child.ask(request, deadline)
            if "refused" in reply:
                raise ImageError(str(reply["refused"]))
            data = child.take(deadline, 4 * MAX_PIXELS) if payload else b""
        except BaseException:
            if not child.alive:
                child.stop()
                raise
            self._give_back(child)
            raise
        self._give_back(child)
        return reply, data

    def _take(self) -> Child:
        with self._lock:
            if os.getpid() != self._owner:  # the processes belong to another one, which forked this
                self._idle, self._owner = [], os.getpid()
            while self._idle:
                child = self._idle.pop()
                if child.alive:
                    return child
                child.stop()
        return Child(MODULE, threads=1, environment=reduced_environment(), failure=ImageError)

    def _give_back(self, child: Child) -> None:
        with self._lock:
            self._idle.append(child)


DECODERS = DecoderPool()
"""Of this process."""

atexit.register(DECODERS.close)
