"""Bytes to and from one peer: TCP, TLS over it, and one answer at a time; nothing waits beyond the request's deadline."""

from __future__ import annotations

import math
import re
import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import httpcore

from cryptml_client.http.deadlines import ending_at, seconds_left

HANDSHAKE_SECONDS = 10.0
"""For a TLS handshake, within the request's time: a peer that takes the connection and says nothing is no service."""

PIECE_BYTES = 64 << 10
NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)

_final_answer = re.compile(rb"HTTP/1\.[01] [2-9]")
_end_of_head = re.compile(rb"\n\r?\n")

T = TypeVar("T")


class Unreachable(httpcore.ConnectError):
    """No connection came about.

    Attributes:
        host: To which.
    """

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(reason)
        self.host = host


class Untrusted(Unreachable):
    """The peer speaks no TLS that is accepted here, or its certificate does not vouch for it."""


class Tcp(httpcore.NetworkStream):
    """A connected socket."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 (the deadline counts)
        """Return some bytes, none at the end.

        Raises:
            ReadTimeout: When the time is over.
            ReadError: If the connection breaks.
        """
        try:
            while True:
                if seconds_left() <= 0:
                    raise httpcore.ReadTimeout
                try:
                    return self._socket.recv(max_bytes)
                except BlockingIOError:
                    self._wait(select.POLLIN)
        except (OSError, ValueError) as error:  # the second one where it was closed meanwhile
            raise httpcore.ReadError(type(error).__name__) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Send bytes, but no more of them to a peer that has answered before it read them.

        Raises:
            WriteTimeout: When the time is over.
            WriteError: If the connection breaks, or the answer is there.
        """
        rest, watched = memoryview(buffer), select.POLLIN
        try:
            while rest:
                if seconds_left() <= 0:
                    raise httpcore.WriteTimeout
                try:
                    rest = rest[self._socket.send(rest, NO_SIGNAL) :]
                except BlockingIOError:
                    if self._wait(select.POLLOUT | watched) & select.POLLIN:
                        if self._is_answered():
                            raise httpcore.WriteError("answered before all was sent") from None
                        watched = 0  # a preliminary answer, or TLS: not to be told apart from here
        except (OSError, ValueError) as error:
            raise httpcore.WriteError(type(error).__name__) from error

    def close(self) -> None:
        """Close the connection, also under a thread that waits for it."""
        with suppress(OSError):  # it is closed already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        """Return whether there is something to read (``is_readable``), or the socket."""
        if info == "is_readable":
            try:
                return bool(self._poll(select.POLLIN, 0))
            except (OSError, ValueError):
                return True
        return self._socket if info == "socket" else None

    def _is_answered(self) -> bool:
        """Return whether what can be read begins with an answer's last head, or is the connection's end."""
        try:
            start = self._socket.recv(16, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        return not start or _final_answer.match(start) is not None

    def _wait(self, events: int) -> int:
        left = seconds_left()
        return self._poll(events, None if left == math.inf else math.ceil(max(0.0, left) * 1000))

    def _poll(self, events: int, milliseconds: int | None) -> int:
        poll = select.poll()
        poll.register(self._socket, events)
        found = poll.poll(milliseconds)
        return found[0][1] if found else 0


class Tls(httpcore.NetworkStream):
    """TLS over another stream, which may itself be TLS: to a service behind a proxy that is spoken to by https.

    Args:
        inner: What carries it.
        context: What is trusted.
        host: Whose certificate it must be.
    """

    def __init__(self, inner: httpcore.NetworkStream, context: ssl.SSLContext, host: str | None) -> None:
        self._inner = inner
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def handshake(self) -> None:
        """Agree on keys, and check who it is.

        Raises:
            SSLError: If that fails.
            TimeoutException: When the time is over.
            NetworkError: If the connection breaks.
        """
        self._exchange(self._tls.do_handshake)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """See `Tcp.read`; an end that the peer did not announce is an error."""
        try:
            return self._exchange(lambda: self._tls.read(max_bytes))
        except ssl.SSLError as error:
            raise httpcore.ReadError(type(error).__name__) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """See `Tcp.write`."""
        rest = memoryview(buffer)
        try:
            while rest:
                piece = rest[:PIECE_BYTES]
                rest = rest[self._exchange(partial(self._tls.write, piece)) :]
        except ssl.SSLError as error:
            raise httpcore.WriteError(type(error).__name__) from error

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        """Return what `Tcp` does, or the TLS (``ssl_object``)."""
        if info == "ssl_object":
            return self._tls
        if info == "is_readable" and (self._incoming.pending or self._tls.pending()):
            return True
        return self._inner.get_extra_info(info)

    def _exchange(self, step: Callable[[], T]) -> T:
        """Take a step, passing on what it has to say, and to it what the peer says, until it is taken."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._inner.write(self._outgoing.read())
            except ssl.SSLError:
                if self._outgoing.pending:  # why not, for the peer
                    self._inner.write(self._outgoing.read())
                raise
            else:
                self._inner.write(self._outgoing.read())
                return result
            data = self._inner.read(PIECE_BYTES)
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()


class Framed(httpcore.NetworkStream):
    """A stream that gives what was asked for, and keeps what comes behind it from passing for the next answer.

    It reads heads one by one, then as much of a body as it is told to expect. Where anything is left when a request is over, or the
    body's end cannot be known here, the stream says that there is something to read: httpcore then uses the connection no more.

    Args:
        inner: What is read.
    """

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner
        self._ahead = b""
        self._seen = b""
        self._in_head = True
        self._body: float = 0

    def expect_body(self, length: int | None) -> None:
        """Say that the head was an answer's last, and how many bytes follow it; None where that cannot be known before."""
        self._in_head = False
        self._body = math.inf if length is None else length

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See `Tcp.read`."""
        if not self._ahead:
            most = max_bytes if self._in_head else max(1, min(max_bytes, self._body))
            self._ahead = self._inner.read(int(most), timeout)
        if self._in_head:
            found = _end_of_head.search(self._seen + self._ahead)
            count = found.end() - len(self._seen) if found else len(self._ahead)
            self._seen = b"" if found else (self._seen + self._ahead)[-2:]
        else:
            count = int(max(1, min(len(self._ahead), self._body)))
            self._body -= count
        data, self._ahead = self._ahead[:count], self._ahead[count:]
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See `Tcp.write`."""
        self._in_head, self._seen = True, b""
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Return the stream encrypted.

        Raises:
            ConnectTimeout: When the time is over.
            Unreachable: If the peer says nothing, or breaks off.
            Untrusted: If it speaks no acceptable TLS.
        """
        host = server_hostname or "?"
        try:
            if self._ahead:  # nothing that came in the clear passes for what comes encrypted
                raise Untrusted(host, "it sent something in the clear")
            secured = Tls(self._inner, ssl_context, server_hostname)
            with ending_at(time.monotonic() + HANDSHAKE_SECONDS):
                secured.handshake()
        except BaseException as error:
            self.close()
            if isinstance(error, ssl.SSLError):
                raise Untrusted(host, getattr(error, "verify_message", None) or error.reason or "no TLS") from error
            if isinstance(error, httpcore.TimeoutException):
                if seconds_left() <= 0:
                    raise httpcore.ConnectTimeout from error
                raise Unreachable(host, f"no TLS within {HANDSHAKE_SECONDS:g} s") from error
            if isinstance(error, httpcore.NetworkError) and not isinstance(error, Unreachable):
                raise Unreachable(host, "it broke off before TLS was spoken") from error
            raise
        return Framed(secured)

    def get_extra_info(self, info: str) -> Any:
        """Return what the inner stream does; see the class for ``is_readable``."""
        if info == "is_readable" and (self._ahead or self._body > 0):
            return True
        return self._inner.get_extra_info(info)
