"""Forms of a request's target (RFC 9112, section 3.2), over sockets of a running service."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.service.slow_service import Running, slow_service


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with slow_service(tmp_path_factory.mktemp("service")) as started:
        yield started


def ask(running: Running, line: str, host: str | None = "127.0.0.1", more: str = "") -> tuple[int, dict[str, Any]]:
    named = "" if host is None else f"Host: {host}\r\n"
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(f"{line}\r\n{named}{more}Connection: close\r\n\r\n".encode())
        found = b""
        while block := connection.recv(65536):
            found += block
    head, _, body = found.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body) if b"json" in head else {}


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:{port}/v1/health/live",
        "HTTP://127.0.0.1/v1/health/live",
        "http://localhost:{port}/v1/health/live?x=y",
        "http://[::1]:{port}/v1/health/live",
        "/v1/health/live",
    ],
)
def test_the_absolute_form_is_the_path_behind_the_host(running: Running, target: str) -> None:
    assert ask(running, f"GET {target.format(port=running.port)} HTTP/1.1") == (200, {"status": "live"})


def test_what_comes_behind_the_host_is_decoded_and_routed_as_ever(running: Running) -> None:
    address = f"http://127.0.0.1:{running.port}"
    assert ask(running, f"GET {address}/v1/models HTTP/1.1") == (200, {"models": []})
    assert ask(running, f"GET {address}/v1/%6dodels HTTP/1.1") == (200, {"models": []})
    assert ask(running, f"GET {address}/v1/models/x HTTP/1.1")[0] == 404
    assert ask(running, f"GET {address} HTTP/1.1")[0] == 404
    assert ask(running, f"GET {address}/v1/models HTTP/1.0", host=None) == (200, {"models": []})
    running.wait_for_line("route=/v1/models/{model}")


@pytest.mark.parametrize(
    ("authority", "host", "status"),
    [
        ("evil.example", "127.0.0.1", 421),
        ("evil.example", "evil.example", 421),
        ("127.0.0.1.evil.example:80", "127.0.0.1", 421),
        ("127.0.0.1:99999", "127.0.0.1", 421),
        ("127.0.0.1", "evil.example", 200),
    ],
)
def test_the_host_of_the_target_counts_and_keeps_the_rule(
    running: Running, authority: str, host: str, status: int
) -> None:
    """Without tokens the service answers under the machine's own name alone."""
    assert ask(running, f"GET http://{authority}/v1/models HTTP/1.1", host=host)[0] == status


@pytest.mark.parametrize(
    "line",
    [
        "OPTIONS * HTTP/1.1",
        "GET * HTTP/1.1",
        "CONNECT 127.0.0.1:80 HTTP/1.1",
        "GET 127.0.0.1:80 HTTP/1.1",
        "GET v1/models HTTP/1.1",
        "GET ?x HTTP/1.1",
        "GET http:///v1/models HTTP/1.1",
        "GET http://me:secret@127.0.0.1/v1/models HTTP/1.1",
        "GET http://127.0.0.1%2f/v1/models HTTP/1.1",
        "GET http://127.0.0.1/v1/models#x HTTP/1.1",
        "GET http:/v1/models HTTP/1.1",
    ],
)
def test_other_forms_are_refused_by_name(running: Running, line: str) -> None:
    status, problem = ask(running, line)
    assert (status, problem["title"]) == (400, "Invalid request target")
    assert "secret" not in json.dumps(problem)


def test_another_scheme_is_misdirected(running: Running) -> None:
    for scheme in ("https", "ftp"):
        assert ask(running, f"GET {scheme}://127.0.0.1/v1/models HTTP/1.1")[0] == 421


def test_the_log_has_nothing_of_them(running: Running) -> None:
    ask(running, "GET http://me:hunter2@127.0.0.1/ HTTP/1.1")
    running.wait_for_line("problem=invalid-request-target")
    assert not any("hunter2" in line for line in running.lines)
