"""Connections that do not hold up others: each has its time to say what it wants, and to take the answer."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

STALLED_SECONDS = 60.0
"""A client that takes nothing of its answer for so long is left."""

LOOKS = 4
"""In that time, at what has been taken."""

# Its bound is on the whole of what is left of an answer; here a client has the time it takes, as long as it takes some.
FLUSHING_SECONDS = 86_400


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 on one connection, which ends where it holds up others; `bounded_protocol` makes one for a server's bounds.

    Where no request is at work on a connection, it ends ``head_seconds`` after the first byte of what comes next, or after it was
    made: a head that comes slowly does not hold it, nor does the rest of a body that was refused. Where there are ``most``, the one
    that has waited longest without a request makes room for a new one, unless its client still takes an answer. TLS is spoken here,
    not in the server's socket: a connection counts, and its time begins, before the handshake.

    Attributes:
        head_seconds: For the head of a request.
        most: Connections at once.
        tls: What encrypts them; None for plain ones.
        stalled_seconds: A client that takes nothing of its answer for so long is left.
        waiting: Connections of one server without a request, in the order in which they began to wait.
    """

    head_seconds: ClassVar[float]
    most: ClassVar[int]
    tls: ClassVar[ssl.SSLContext | None]
    stalled_seconds: ClassVar[float]
    waiting: ClassVar[dict[BoundedProtocol, None]]

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self._tcp: asyncio.Transport
        self._handshake: asyncio.Task[None] | None = None
        self._early = b""
        self._unsent: int | None = None
        self._taken = 0.0
        self._looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request; another connection may have to make room."""
        self._tcp = transport
        if self.tls is None:
            super().connection_made(transport)
        else:
            self.transport = transport
            self.connections.add(self)
            self._handshake = self.loop.create_task(self._shake_hands(self.tls))
        if len(self.connections) >= self.most:
            idle = next((each for each in self.waiting if not each._tcp.get_write_buffer_size()), None)
            if idle is not None:
                idle._leave()
        self._wait()
        self._look()

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        if self._handshake is not None:
            if (
                self._tcp.get_protocol() is self
            ):  # before TLS: nothing that came in the clear may pass for what came encrypted
                self._leave()
            else:
                self._early += data  # it came with the end of the handshake
            return
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._work()
        elif not self.transport.is_closing():
            self._wait()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the client to take all of this answer."""
        super().on_response_complete()
        if not self.cycle.response_complete:
            return  # the next request was here already
        if self.transport.is_closing():
            self.waiting[self] = None  # until the client has taken all
        elif self.conn.trailing_data[0] or self.conn.their_state is h11.SEND_BODY:
            self._wait()
        else:
            self.waiting[self] = None  # until the time to keep it is over

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self not in self.connections:
            return  # TLS said so already
        self._work()
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """Note that the client took something."""
        self._unsent = None  # some was taken, whatever was written since
        super().resume_writing()

    async def _shake_hands(self, context: ssl.SSLContext) -> None:
        if self._tcp.is_closing():
            return
        try:
            secured = await self.loop.start_tls(
                self._tcp,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=self.head_seconds,
                ssl_shutdown_timeout=FLUSHING_SECONDS,
            )
        except OSError:  # no TLS, or none that is spoken here
            secured = None
        self._handshake = None
        if secured is None or secured.is_closing() or self not in self.connections:
            self.connection_lost(None)
            return
        super().connection_made(secured)
        if self._early:
            self.data_received(self._early)
            self._early = b""

    def _look(self) -> None:
        """Leave the client if it has taken nothing for too long of what there is, or of a connection's end."""
        unsent, now = self._tcp.get_write_buffer_size(), self.loop.time()
        if unsent != self._unsent or not (unsent or self.transport.is_closing()):
            self._unsent, self._taken = unsent, now
        elif now - self._taken >= self.stalled_seconds:
            self._leave()
            return
        self._looking = self.loop.call_later(self.stalled_seconds / LOOKS, self._look)

    def _wait(self) -> None:
        """Begin to wait for a request; what comes in meanwhile gives no more time."""
        self.waiting[self] = None
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self._leave)

    def _work(self) -> None:
        """A request is at work, or the connection is over."""
        self.waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _leave(self) -> None:
        self._work()
        self._tcp.abort()


def bounded_protocol(
    *, head_seconds: float, most: int, tls: ssl.SSLContext | None = None, stalled_seconds: float = STALLED_SECONDS
) -> type[BoundedProtocol]:
    """Return what speaks HTTP/1.1 on each connection of one server; see `BoundedProtocol`."""
    bounds: dict[str, Any] = {
        "head_seconds": head_seconds,
        "most": most,
        "tls": tls,
        "stalled_seconds": stalled_seconds,
        "waiting": {},
    }
    return type("BoundedProtocolOfServer", (BoundedProtocol,), bounds)
