"""Bounds of single connections, by the server of the tests' own process: clients that take nothing, that send ahead, that are many."""

from __future__ import annotations

import asyncio.constants
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvicorn
from cryptml_server.base.tls import tls_context
from cryptml_server.http.connections import bounded_protocol

from tests.bounds import ENDS_SECONDS
from tests.service.key_pairs import make_pair
from tests.waiting import wait_for

GET = b"GET /{} HTTP/1.1\r\nHost: x\r\n\r\n"
PATIENCE_SECONDS = 15


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer after as many seconds as the path says with as many megabytes, piece by piece or all at once."""
    seconds, megabytes, *at_once = scope["path"].strip("/").split("-")
    await anyio.sleep(float(seconds))
    length = int(megabytes) << 20
    headers = [(b"content-length", str(length + 1).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if at_once:
        await send({"type": "http.response.body", "body": b"x" * length + b"!"})
        return
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


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> ssl.SSLContext | None:
    return tls_context(*make_pair(tmp_path)) if request.param == "tls" else None


def connect(port: int, *, tls: ssl.SSLContext | None = None, receiving: int | None = None) -> socket.socket:
    connection = socket.socket()
    connection.settimeout(PATIENCE_SECONDS)
    if receiving is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receiving)
    connection.connect(("127.0.0.1", port))
    if tls is None:
        return connection
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    return anybody.wrap_socket(connection)


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


def until(condition: Callable[[], Any]) -> None:
    wait_for(condition, "what the server does", seconds=PATIENCE_SECONDS)


def test_a_client_that_takes_nothing_of_its_answer_is_left() -> None:
    with (
        server(head_seconds=5, most=100, stalled_seconds=1) as (running, port),
        connect(port) as deaf,
        connect(port) as slow,
    ):
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


def test_a_client_that_takes_its_answer_slowly_gets_all_of_it(
    monkeypatch: pytest.MonkeyPatch, tls: ssl.SSLContext | None
) -> None:
    monkeypatch.setattr(asyncio.constants, "SSL_SHUTDOWN_TIMEOUT", 1.0, raising=False)
    with (
        server(head_seconds=5, most=100, tls=tls, stalled_seconds=5) as (_, port),
        connect(port, tls=tls, receiving=1 << 16) as slow,
    ):
        slow.sendall(GET.replace(b"{}", b"0-16-once").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        began, found, pausing = time.monotonic(), b"", 0
        while block := slow.recv(1 << 14):
            found += block
            if len(found) >> 19 > pausing:
                pausing += 1
                time.sleep(0.2)
        assert time.monotonic() - began > 6, "longer than a client may take nothing"
        assert len(found.partition(b"\r\n\r\n")[2]) == (16 << 20) + 1


def test_who_takes_nothing_of_an_answer_that_is_complete_is_left(tls: ssl.SSLContext | None) -> None:
    with (
        server(head_seconds=60, most=100, tls=tls, stalled_seconds=0.5) as (running, port),
        connect(port, tls=tls, receiving=1 << 16) as deaf,
    ):
        deaf.sendall(GET.replace(b"{}", b"0-16-once"))
        until(lambda: running.server_state.total_requests)
        assert running.server_state.connections
        until(lambda: not running.server_state.connections)


def test_who_takes_its_answer_makes_no_room_for_others(tls: ssl.SSLContext | None) -> None:
    with (
        server(head_seconds=60, most=10, tls=tls) as (running, port),
        connect(port, tls=tls, receiving=1 << 16) as slow,
    ):
        slow.sendall(GET.replace(b"{}", b"0-16-once"))
        until(lambda: running.server_state.total_requests)
        others = [connect(port, tls=tls) for _ in range(30)]
        assert ask(others[-1], "0-0").startswith(b"HTTP/1.1 200")
        assert len(answer(slow).partition(b"\r\n\r\n")[2]) == (16 << 20) + 1
        for each in others:
            each.close()


def test_the_bounds_hold_before_the_handshake(tmp_path: Path) -> None:
    tls = tls_context(*make_pair(tmp_path))
    with server(head_seconds=60, most=20, tls=tls) as (running, port), connect(port, tls=tls) as early:
        assert ask(early, "0-0").startswith(b"HTTP/1.1 200")
        silent = [connect(port) for _ in range(60)]
        assert ended(early)
        assert all(ended(each) for each in silent[:40])
        until(lambda: len(running.server_state.connections) <= 20)
        with connect(port, tls=tls) as late:
            assert ask(late, "0-0").startswith(b"HTTP/1.1 200")
        for each in silent:
            each.close()
        until(lambda: not running.server_state.connections)
    with server(head_seconds=0.3, most=20, tls=tls) as (running, port), connect(port) as silent_one:
        began = time.monotonic()
        assert ended(silent_one)
        assert 0.2 < time.monotonic() - began < ENDS_SECONDS
        until(lambda: not running.server_state.connections)
