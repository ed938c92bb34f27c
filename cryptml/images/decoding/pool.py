"""Owners of the processes that read pictures: reused, limited, replaced where one dies."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from cryptml.errors import CryptmlError, ImageError, NoPicture, printable
from cryptml.images.description import Description
from cryptml.images.frames import FrameChoice, groups
from cryptml.images.image import Image
from cryptml.images.limits import MAX_FRAMES, MAX_PIXELS, READ_SECONDS
from cryptml.processes.child import Child
from cryptml.processes.environment import reduced_environment

MODULE = "cryptml.images.decoding.process"
MOST_TEXT = 80
"""Characters of what a process says that a picture was encoded as, or shows."""

MOST_NAMES, MOST_NAME_PARTS = 20_000, 16
"""Files that a DICOMDIR lists, and folders and name of each."""

MOST_REFUSAL, MOST_REASON = 1000, 400
"""Characters of why a file is refused, and of why its decoder did not answer."""

_NO_ANSWER = "its decoder answered something that is no answer"

Take = Callable[[int], bytes]
"""Takes the bytes that follow an answer, as many as it is given at most."""

Result = TypeVar("Result")


class DecoderPool:
    """As many decoding processes as are needed at once; each reads one picture after another.

    What they say is compared with what it can be: native code that read a hostile file may have taken one over.

    Args:
        module: That a process runs.
        read_seconds: For one question; a process that takes longer is ended.
    """

    def __init__(self, module: str = MODULE, read_seconds: float = READ_SECONDS) -> None:
        self._module = module
        self.read_seconds = read_seconds
        self._idle: list[Child] = []
        self._lock = threading.Lock()
        self._owner = os.getpid()

    def describe(self, path: Path) -> Description:
        """Return what a file holds.

        Raises:
            NoPicture: If that is nothing that people look at.
            ImageError: If it cannot be read.
        """
        return self._ask({"do": "describe", "path": str(path.absolute())}, lambda reply, _: _description(reply))

    def listed(self, path: Path) -> list[tuple[str, ...]] | None:
        """Return the files that a DICOMDIR lists, as names of folders and of a file below its own; None for another file.

        Raises:
            ImageError: If it cannot be read.
        """
        return self._ask({"do": "listed", "path": str(path.absolute())}, lambda reply, _: _listed(reply))

    def places(self, path: Path, choice: FrameChoice | None) -> list[range]:
        """Return the frames of each picture that a choice makes of a file, their places from 0.

        Raises:
            ImageError: If the choice does not fit, or the file cannot be read.
        """
        return list(groups(choice, self.describe(path).frames))

    def read(self, path: Path, places: range | None) -> Image:
        """Return one picture of a file: a frame, or the brightest values of several.

        Args:
            path: Of the file.
            places: Of the frames, from 0; None for the only one that there is.

        Raises:
            ImageError: If it cannot be read, or there are several and none was chosen.
        """
        chosen = None if places is None else [places[0], places[-1]]
        return self._ask({"do": "read", "path": str(path.absolute()), "places": chosen}, _picture)

    def begin(self) -> None:
        """Start a process that will be needed: it imports while its owner does something else."""
        with self._lock:
            if self._idle:
                return
            with suppress(OSError):  # whoever reads a picture is told
                self._idle.append(self._started())

    def close(self) -> None:
        """End the processes that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        if os.getpid() == self._owner:
            for child in idle:
                child.stop()

    def _ask(self, request: dict[str, Any], understand: Callable[[dict[str, Any], Take], Result]) -> Result:
        """Return what is understood of a process's answer; the process is used again only where that was one, and nothing more came."""
        child = self._take()
        deadline = time.monotonic() + self.read_seconds
        try:
            reply = child.ask(request, deadline)
            refusal = _refusal(reply)
            result = None if refusal else understand(reply, lambda most: child.take(deadline, most))
            if child.says_more:
                raise ImageError(_NO_ANSWER)
        except BaseException as error:
            child.stop()  # there may be more to come of the answer
            if isinstance(error, CryptmlError):
                said = str(error)[:MOST_REASON]
                raise ImageError(f"it could not be decoded ({said}); export it again") from error
            raise
        self._give_back(child)
        if refusal:
            raise refusal
        return cast("Result", result)

    def _take(self) -> Child:
        with self._lock:
            if os.getpid() != self._owner:  # the processes belong to another one, which forked this
                self._idle, self._owner = [], os.getpid()
            while self._idle:
                child = self._idle.pop()
                if child.alive and not child.says_more:
                    return child
                child.stop()
        return self._started()

    def _started(self) -> Child:
        return Child(self._module, threads=1, environment=reduced_environment(), failure=ImageError)

    def _give_back(self, child: Child) -> None:
        with self._lock:
            self._idle.append(child)


def _refusal(reply: dict[str, Any]) -> ImageError | None:
    """Return why a process refuses a file; None where it does not."""
    if "refused" not in reply:
        return None
    said = reply["refused"]
    text = printable(said[: 8 * MOST_REFUSAL])[:MOST_REFUSAL].strip() if isinstance(said, str) else ""
    if not text:
        raise ImageError(_NO_ANSWER)
    return (NoPicture if reply.get("no_picture") is True else ImageError)(text)


def _description(reply: dict[str, Any]) -> Description:
    return Description(
        _text(reply, "source"),
        _count(reply, "rows", MAX_PIXELS),
        _count(reply, "columns", MAX_PIXELS),
        _count(reply, "frames", MAX_FRAMES),
        None if reply.get("view") is None else _text(reply, "view"),
        None if reply.get("laterality") is None else _text(reply, "laterality"),
    )


def _listed(reply: dict[str, Any]) -> list[tuple[str, ...]] | None:
    names = reply.get("names")
    if names is None:
        return None
    if not isinstance(names, list) or len(names) > MOST_NAMES:
        raise ImageError(_NO_ANSWER)
    for parts in names:
        if not isinstance(parts, list) or not 1 <= len(parts) <= MOST_NAME_PARTS:
            raise ImageError(_NO_ANSWER)
        if not all(isinstance(part, str) for part in parts):
            raise ImageError(_NO_ANSWER)
    return [tuple(parts) for parts in names]


def _picture(reply: dict[str, Any], take: Take) -> Image:
    rows, columns = _count(reply, "rows", MAX_PIXELS), _count(reply, "columns", MAX_PIXELS)
    if rows * columns > MAX_PIXELS:
        raise ImageError(_NO_ANSWER)
    source = _text(reply, "source")
    data = take(4 * rows * columns)
    if len(data) != 4 * rows * columns:
        raise ImageError(_NO_ANSWER)
    return Image(np.frombuffer(data, np.float32).reshape(rows, columns), source)


def _count(reply: dict[str, Any], name: str, most: int) -> int:
    found = reply.get(name)
    if type(found) is not int or not 1 <= found <= most:
        raise ImageError(_NO_ANSWER)
    return found


def _text(reply: dict[str, Any], name: str) -> str:
    found = reply.get(name)
    if not isinstance(found, str) or not found.isprintable():
        raise ImageError(_NO_ANSWER)
    return found[:MOST_TEXT]


DECODERS = DecoderPool()
"""Of this process."""

atexit.register(DECODERS.close)
