"""Connections that do not hold up others: each has its time to say what it wants, and to take the answer."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

STALLED_SECONDS = 60.0
"""A client that takes nothing of its answer for so long is left."""


def bounded_protocol(*, head_seconds: float, most: int) -> type[H11Protocol]:
    """Return what speaks HTTP/1.1 on each connection.

    Where no request is at work on a connection, it ends `head_seconds` after the first byte of what comes next, or after it was made:
    a head that comes slowly does not hold it, nor does the rest of a body that was refused. Where there are `most`, the one that has
    waited longest without a request makes room for a new one.

    Args:
        head_seconds: For the head of a request.
        most: Connections at once.
    """

    class Bounded(H11Protocol):
        waiting: dict[Bounded, None] = {}  # noqa: RUF012 (shared by all, in the order in which they began to wait)

        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            self._deadline: asyncio.TimerHandle | None = None
            self._stalled: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) >= most and self.waiting:
                next(iter(self.waiting))._leave()
            self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._work()
            elif not self.transport.is_closing():
                self._wait()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self.cycle.response_complete or self.transport.is_closing():
                return  # the next request was here already, or none can come
            if self.conn.trailing_data[0] or self.conn.their_state is h11.SEND_BODY:
                self._wait()
            else:
                self.waiting[self] = None  # until the time to keep it is over

        def connection_lost(self, exc: Exception | None) -> None:
            self._work()
            self.resume_writing()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._stalled = self.loop.call_later(STALLED_SECONDS, self.transport.abort)

        def resume_writing(self) -> None:
            if self._stalled is not None:
                self._stalled.cancel()
                self._stalled = None
            if self.flow is not None:
                super().resume_writing()

        def _wait(self) -> None:
            """Begin to wait for a request; what comes in meanwhile gives no more time."""
            self.waiting[self] = None
            if self._deadline is None:
                self._deadline = self.loop.call_later(head_seconds, self._leave)

        def _work(self) -> None:
            """A request is at work, or the connection is over."""
            self.waiting.pop(self, None)
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _leave(self) -> None:
            self._work()
            self.transport.abort()

    return Bounded
