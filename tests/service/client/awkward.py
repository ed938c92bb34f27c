"""Servers over plain sockets that do what no service should, and proxies that stand between; each connection has a thread of its own."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from benchmarks.sockets import serve_each, stop_listening

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
HTML = b"<html><head><title>no</title></head></html>"

Behaviour = Callable[[socket.socket, bytes], object]
"""Given a connection and what came of its first request so far, head at least."""


def read_head(connection: socket.socket) -> bytes:
    """Return the bytes of a request until its head is there; nothing where the connection ends."""
    found = b""
    while b"\r\n\r\n" not in found:
        block = connection.recv(65536)
        if not block:
            return b""
        found += block
    return found


def read_request(connection: socket.socket, found: bytes = b"") -> bytes:
    """Return a whole request, of which some may be here."""
    found = found or read_head(connection)
    head, _, body = found.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while found and len(body) < length:
        block = connection.recv(1 << 20)
        if not block:
            return b""
        body += block
    return head + b"\r\n\r\n" + body if found else b""


def answer(status: int, body: bytes = b"", kind: str = "text/html", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def drip(connection: socket.socket, start: bytes, again: bytes, seconds: float = 0.05) -> None:
    """Say something, then a little more, for as long as anybody listens."""
    connection.sendall(start)
    while True:
        time.sleep(seconds)
        connection.sendall(again)


@contextmanager
def listening(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Give the port of a server that reads the head of what each connection asks, treats it so, and ends it then."""

    def read_and_treat(connection: socket.socket) -> None:
        connection.settimeout(30)
        if tls is not None:
            connection = tls.wrap_socket(connection, server_side=True)
        with connection:
            behaviour(connection, read_head(connection))

    with raw_listening(read_and_treat) as port:
        yield port


@contextmanager
def raw_listening(behaviour: Callable[[socket.socket], None]) -> Iterator[int]:
    """As `listening`, but nothing is read first."""
    server = socket.create_server(("127.0.0.1", 0))

    def treat(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            behaviour(connection)

    serve_each(server, treat)
    try:
        yield server.getsockname()[1]
    finally:
        stop_listening(server)


def relay(near: socket.socket, far: socket.socket) -> None:
    """Pass bytes on, both ways, until one side ends."""

    sinks = {near: far, far: near}
    with suppress(OSError):
        while True:  # in one thread: two may not use one TLS connection at once
            held = [each for each in sinks if isinstance(each, ssl.SSLSocket) and each.pending()]
            for source in held or select.select(list(sinks), [], [])[0]:
                block = source.recv(65536)
                if not block:
                    raise ConnectionResetError
                sinks[source].sendall(block)
    for each in sinks:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def tunnels(target: int, seen: list[str], credentials: str | None = None) -> Behaviour:
    """Return a proxy: it connects every CONNECT to a port of this machine, and gives other requests an answer of its own."""

    def behaviour(connection: socket.socket, found: bytes) -> None:
        line = found.split(b"\r\n")[0].decode()
        seen.append(line)
        if credentials is not None and f"Proxy-Authorization: Basic {credentials}".encode() not in found:
            connection.sendall(answer(407, HTML, more='Proxy-Authenticate: Basic realm="x"\r\n'))
            return
        if not line.startswith("CONNECT "):
            connection.sendall(OK)
            return
        with socket.create_connection(("127.0.0.1", target)) as far:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            relay(connection, far)

    return behaviour
