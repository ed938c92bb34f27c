"""A service that is about to end: it finishes what it has begun and takes nothing new."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Request

from cryptml_server.base.errors import ServerError, ServiceDraining

BEGINNING = frozenset(("PATCH", "POST", "PUT"))
"""Methods that begin an evaluation, an upload or a job; reading and deleting go on."""

RETRY_SECONDS = 5
"""Another service may have taken this one's place by then."""


class Draining:
    """Whether the service is about to end; once it is, it stays so. Safe to ask from any thread."""

    def __init__(self) -> None:
        self._begun = threading.Event()
        self._lock = threading.Lock()
        self._at_work = 0

    def begin(self) -> None:
        """Take nothing new from now on."""
        self._begun.set()

    def is_set(self) -> bool:
        """Return whether it has begun."""
        return self._begun.is_set()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Let the end of the service wait for the block, as it waits for requests: for what is at work without one."""
        with self._lock:
            self._at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1

    @property
    def at_work(self) -> int:
        """Blocks of `working` that have not ended."""
        return self._at_work

    def refusal(self) -> ServerError:
        """Return what is answered meanwhile."""
        return ServiceDraining("the service is about to end; try again later", retry_after=RETRY_SECONDS)


async def refuse_while_draining(request: Request) -> None:
    """Refuse what would begin something.

    Raises:
        ServiceDraining: While the service drains.
    """
    draining: Draining = request.app.state.draining
    if request.method in BEGINNING and draining.is_set():
        raise draining.refusal()
