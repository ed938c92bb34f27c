"""Bounds of single connections, by the server of the tests' own process: clients that take nothing, that send ahead, that are many."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
import uvicorn
from cryptml_server import connections
from cryptml_server.connections import bounded_protocol

GET = b"GET /{} HTTP/1.1\r\nHost: x\r\n\r\n"
PATIENCE_SECONDS = 15


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer after as many seconds as the path says with as many megabytes."""
    seconds, megabytes = scope["path"].strip("/").split("-")
    await anyio.sleep(float(seconds))
    length = int(megabytes) << 20
    headers = [(b"content-length", str(length + 1).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(int(megabytes)):
        await send({"type": "http.response.body", "body": b"x" * (1 << 20), "more_body": True})
    await send({"type": "http.response.body", "body": b"!"})


@contextmanager
def server(**bounds: Any) -> Iterator[tuple[uvicorn.Server, int]]:
    listening = socket.create_server(("127.0.0.1", 0))
    protocol = bounded_protocol(**bounds)
    config = uvicorn.Config(
        application,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        limit_concurrency=bounds["most"],
        timeout_graceful_shutdown=1,
    )
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, args=([listening],))
    thread.start()
    try:
        yield running, listening.getsockname()[1]
    finally:
        running.should_exit = True
        thread.join()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)


def ask(connection: socket.socket, path: str) -> bytes:
    connection.sendall(GET.replace(b"{}", path.encode()))
    return answer(connection)


def answer(connection: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"!"):
        block = connection.recv(1 << 20)
        if not block:
            break
        found += block
    return found


def until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_client_that_takes_nothing_of_its_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STALLED_SECONDS", 1.0)
    with server(head_seconds=5, most=100) as (running, port), connect(port) as deaf, connect(port) as slow:
        deaf.sendall(GET.replace(b"{}", b"0-64"))
        slow.sendall(GET.replace(b"{}", b"0-64"))
        until(lambda: running.server_state.tasks)
        read = 0
        while read < 64 << 20:  # slower than it could, but it goes on
            block = slow.recv(1 << 20)
            assert block
            read += len(block)
            time.sleep(0.02)
        until(lambda: not running.server_state.tasks)


def test_requests_that_are_sent_ahead_have_their_time() -> None:
    with server(head_seconds=0.5, most=100) as (_, port), connect(port) as eager:
        request = GET.replace(b"{}", b"1-0")
        eager.sendall(request * 3 + request[:10])
        found = b""
        while found.count(b"!") < 3:
            found += eager.recv(65536)
        assert found.count(b"HTTP/1.1 200") == 3
        assert ended(eager)


def test_idle_connections_make_room_and_those_at_work_stay() -> None:
    with server(head_seconds=60, most=20) as (_, port), connect(port) as busy:
        busy.sendall(GET.replace(b"{}", b"3-0"))
        idle = []
        for _ in range(60):
            idle.append(connect(port))
            assert ask(idle[-1], "0-0").startswith(b"HTTP/1.1 200")
        assert answer(busy).startswith(b"HTTP/1.1 200")
        assert ended(idle[0])
        assert ask(idle[-1], "0-0").startswith(b"HTTP/1.1 200")
        for each in idle:
            each.close()


def ended(connection: socket.socket) -> bool:
    """Wait for the far side to end a connection."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
