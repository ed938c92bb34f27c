"""The client's transport against servers that drip, flood, lie and never end: it is over in time, and says why in a sentence."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptml_client.http.answers import OCTETS
from cryptml_client.jobs import RemoteJob
from cryptml_client.progress import Silent
from cryptml_client.transport import Transport
from cryptml_server.base.tls import tls_context

from cryptml.errors import (
    CryptmlError,
    ServiceError,
    ServiceProtocolError,
    ServiceRefused,
    ServiceTimeout,
    ServiceUnavailable,
    SettingError,
)
from tests.bounds import ENDS_SECONDS, ends
from tests.service.client.awkward import HTML, OK, Behaviour, answer, drip, listening, raw_listening, read_request
from tests.service.key_pairs import make_pair


def outcome(port: int, timeout: float = 0.5, **named: Any) -> CryptmlError | dict[str, Any]:
    with Transport(f"http://127.0.0.1:{port}", timeout, **named) as transport:
        try:
            return transport.get_json("/v1/models")
        except CryptmlError as error:
            return error


def error_of(behaviour: Behaviour, **named: Any) -> CryptmlError:
    with listening(behaviour) as port, ends():
        found = outcome(port, **named)
    assert isinstance(found, CryptmlError)
    return found


# ---- one deadline


@pytest.mark.parametrize(
    ("start", "again"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;x=y\r\n \r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n0\r\nX: ", b"x"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 9999\r\n\r\n", b" "),
    ],
    ids=["head", "hints", "continue", "body", "endless", "chunks", "trailers", "refusal"],
)
def test_what_drips_ends_with_the_request(start: bytes, again: bytes) -> None:
    seconds = 1.0 if start.endswith(b"X: ") else 0.5
    found = error_of(lambda connection, _: drip(connection, start, again), timeout=seconds)
    assert isinstance(found, ServiceTimeout)
    assert f"within {seconds:g} s" in str(found)


def test_what_floods_within_the_time_is_bounded_too() -> None:
    def early_hints(connection: socket.socket, _: bytes) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)

    assert isinstance(error_of(early_hints), ServiceTimeout)

    def many_headers(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X-Header: value\r\n" * 1000)

    found = error_of(many_headers)
    assert isinstance(found, ServiceProtocolError)
    assert "does not speak HTTP" in str(found)

    def endless(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while True:
            connection.sendall(b" " * (1 << 20))

    assert "more than 16777216 bytes" in str(error_of(endless, timeout=ENDS_SECONDS))


def test_who_takes_the_connection_and_says_nothing(tmp_path: Path) -> None:
    with raw_listening(lambda _: time.sleep(10)) as port:
        with ends():
            assert isinstance(outcome(port), ServiceTimeout)
        with ends(), Transport(f"https://127.0.0.1:{port}", 0.5) as transport, pytest.raises(ServiceTimeout):
            transport.get_json("/v1/models")


def test_a_handshake_that_drips(tmp_path: Path) -> None:
    """A record of TLS that is longer than what ever comes of it."""

    def trickle(connection: socket.socket) -> None:
        connection.recv(4096)
        drip(connection, b"\x16\x03\x03\x40\x00", b"\x02")

    with (
        raw_listening(trickle) as port,
        ends(),
        Transport(f"https://127.0.0.1:{port}", 0.5) as transport,
        pytest.raises(ServiceTimeout),
    ):
        transport.get_json("/v1/models")


def test_a_body_that_drips_within_tls(tmp_path: Path) -> None:
    certificate, key = make_pair(tmp_path)
    start = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"
    with (
        listening(lambda connection, _: drip(connection, start, b" "), tls_context(certificate, key)) as port,
        ends(),
        Transport(f"https://127.0.0.1:{port}", 0.5, ca_file=certificate) as transport,
        pytest.raises(ServiceTimeout),
    ):
        transport.get_json("/v1/models")


def test_a_look_up_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    release = threading.Event()
    real = socket.getaddrinfo

    def slow(host: Any, *arguments: Any, **named: Any) -> Any:
        if host != "slow.invalid":
            return real(host, *arguments, **named)
        asked.append(host)
        release.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "slow")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with Transport("http://slow.invalid", 0.5, proxy="none") as transport:
        for _ in range(3):
            with ends(), pytest.raises(ServiceTimeout):
                transport.get_json("/v1/models")
        assert len(asked) == 1, "one question to the system, whoever waits for it"
        release.set()
        time.sleep(0.2)
        with ends(), pytest.raises(ServiceUnavailable, match="nothing answers at"):
            transport.get_json("/v1/models")


def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(lambda connection, _: connection.sendall(OK)) as port:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            deaf = free.getsockname()
        addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each) for each in (deaf, ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
        with Transport("http://service.test", 5, proxy="none") as transport:
            assert transport.get_json("/v1/models") == {}


def test_a_body_that_nobody_reads(tmp_path: Path) -> None:
    def deaf(connection: socket.socket, _: bytes) -> None:
        time.sleep(10)

    body = b"x" * (32 << 20)
    certificate, key = make_pair(tmp_path)
    for tls in (None, tls_context(certificate, key)):
        scheme, authority = ("http", None) if tls is None else ("https", certificate)
        with (
            listening(deaf, tls) as port,
            Transport(f"{scheme}://127.0.0.1:{port}", 0.5, ca_file=authority) as transport,
            ends(),
            pytest.raises(ServiceTimeout),
        ):
            transport.request("POST", "/x", content=body, limit=1)


def test_an_answer_that_comes_before_the_body_is_read_counts() -> None:
    def hasty(connection: socket.socket, _: bytes) -> None:
        connection.sendall(answer(413, HTML))
        time.sleep(10)

    with (
        listening(hasty) as port,
        Transport(f"http://127.0.0.1:{port}", 20.0) as transport,
        ends(),
        pytest.raises(ServiceProtocolError, match="client_max_body_size") as caught,
    ):
        transport.request("POST", "/x", content=b"x" * (32 << 20), limit=1, once=True)
    assert caught.value.status == 413


def test_a_slow_reader_gets_all_of_a_body() -> None:
    lengths: list[int] = []

    def slow(connection: socket.socket, found: bytes) -> None:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.2)
        lengths.append(len(read_request(connection, found).partition(b"\r\n\r\n")[2]))
        connection.sendall(OK)

    with listening(slow) as port, Transport(f"http://127.0.0.1:{port}", 20.0) as transport:
        transport.request("POST", "/x", content=b"x" * (16 << 20), limit=10)
    assert lengths == [16 << 20]


def test_a_client_that_is_closed_waits_no_longer() -> None:
    with raw_listening(lambda _: time.sleep(10)) as port:
        transport = Transport(f"http://127.0.0.1:{port}", 60.0)
        threading.Timer(0.3, transport.close).start()
        with ends(), pytest.raises(ServiceError, match="the client was closed"):
            transport.get_json("/v1/models")


# ---- retries


def refusing(status: int, retry_after: str, asked: list[float]) -> Behaviour:
    problem = json.dumps({"title": "Too busy", "detail": "later"}).encode()

    def behaviour(connection: socket.socket, found: bytes) -> None:
        asked.append(time.monotonic())
        connection.sendall(answer(status, problem, "application/problem+json", f"Retry-After: {retry_after}\r\n"))

    return behaviour


@pytest.mark.parametrize("retry_after", ["999999999", "9" * 30, "-1", "nan", "Wed, 21 Oct 2099 07:28:00 GMT", "0"])
def test_no_retry_after_holds_a_client_beyond_its_patience(retry_after: str) -> None:
    asked: list[float] = []
    found = error_of(refusing(503, retry_after, asked), patience_seconds=1.0)
    assert isinstance(found, ServiceRefused)
    assert len(asked) < 40


def test_what_is_left_of_a_job_bounds_its_last_question_and_its_retries() -> None:
    name = "0" * 32

    def silent(connection: socket.socket, _: bytes) -> None:
        time.sleep(10)

    def waiting(connection: socket.socket, found: bytes) -> None:
        while found:
            connection.sendall(answer(200, b'{"state": "waiting", "expected_seconds": -5}', "application/json"))
            found = read_request(connection)

    asked: list[float] = []
    for behaviour in (silent, waiting, refusing(503, "0", asked)):
        with (
            listening(behaviour) as port,
            Transport(f"http://127.0.0.1:{port}", 60.0, patience_seconds=60.0) as transport,
            ends(),
            pytest.raises(ServiceError) as caught,
        ):
            RemoteJob(transport, {"job": name}).wait(Silent(), 1.0)
        if not isinstance(caught.value, ServiceRefused):
            assert "did not end within 1 s" in str(caught.value)


# ---- connections that are used again


@contextmanager
def persistent(*answers: bytes) -> Iterator[tuple[str, list[int]]]:
    """Give these answers, one a request, the last for ever, on connections that stay; gives the address and each request's connection."""
    used: list[int] = []
    connections: list[int] = []

    def behaviour(connection: socket.socket, found: bytes) -> None:
        connections.append(0)
        number = len(connections)
        while found:
            used.append(number)
            connection.sendall(answers[min(len(used), len(answers)) - 1])
            found = read_request(connection)

    with listening(behaviour) as port:
        yield f"http://127.0.0.1:{port}", used


FORGED = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"forged":1}'


@pytest.mark.parametrize(
    "rest",
    [FORGED, FORGED * 3, FORGED[:40], b"\r\n", b"x", b"HTTP/1.1 103 Early Hints\r\n\r\n"],
    ids=["whole", "several", "part", "line", "byte", "hints"],
)
@pytest.mark.parametrize(
    "first",
    [
        OK,
        OK.replace(b"\r\n\r\n", b"\n\n").replace(b"\r\n", b"\n"),
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        answer(404, b'{"title": "t", "detail": "d"}', "application/problem+json"),
    ],
    ids=["plain", "lines", "hinted", "chunked", "refused"],
)
def test_what_comes_behind_an_answer_is_no_answer(first: bytes, rest: bytes) -> None:
    with persistent(first + rest, OK) as (url, used), Transport(url, 5.0) as transport:
        for _ in range(2):
            with suppress(ServiceRefused):
                assert transport.get_json("/v1/models") == {}
        assert used == [1, 2], "the first connection is used no more"


def test_connections_are_used_again(tmp_path: Path) -> None:
    with persistent(OK) as (url, used), Transport(url, 5.0) as transport:
        for _ in range(3):
            assert transport.get_json("/v1/models") == {}
        assert used == [1, 1, 1]
    certificate, key = make_pair(tmp_path)
    handshakes: list[int] = []

    def stay(connection: socket.socket, found: bytes) -> None:
        handshakes.append(1)
        while found:
            connection.sendall(OK)
            found = read_request(connection)

    with (
        listening(stay, tls_context(certificate, key)) as port,
        Transport(f"https://127.0.0.1:{port}", 5.0, ca_file=certificate) as transport,
    ):
        for _ in range(3):
            assert transport.get_json("/v1/models") == {}
    assert handshakes == [1]


# ---- what an answer may be


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (answer(200, HTML), "not JSON .a page of HTML"),
        (answer(200, b"{}", "text/plain"), "not JSON .text/plain"),
        (answer(200, b"{}", "application/json2"), "not JSON"),
        (answer(200, b"{}", "application/problem+json"), "not JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "nothing that says what it is"),
        (answer(200, b'{"a": 1, "a": 2}', "application/json"), "'a' stands twice"),
        (answer(200, b'{"a": 1e999}', "application/json"), "beyond the largest"),
        (answer(200, b'{"a": NaN}', "application/json"), "not JSON"),
        (answer(200, b'{"a": ' + b"9" * 5000 + b"}", "application/json"), "longer than 20"),
        (answer(200, b'{"a":' * 50 + b"1" + b"}" * 50, "application/json"), "nested too deeply"),
        (answer(200, b"\xff\xfe{\x00}\x00", "application/json"), "not JSON"),
        (answer(200, b"", "application/json"), "not JSON"),
        (answer(204, b"", "application/json"), "not JSON"),
        (answer(500, HTML), "status 500 and no problem document .a page of HTML"),
        (answer(600, b'{"title": "t", "detail": "d"}', "application/problem+json"), "status 600"),
        (answer(101, b""), "does not speak HTTP"),
        (answer(500, b'{"title": "t", "detail": "d"}', "text/html"), "no problem document"),
    ],
)
def test_an_answer_of_another_kind_is_named(said: bytes, message: str) -> None:
    def behaviour(connection: socket.socket, _: bytes) -> None:
        connection.sendall(said)

    found = error_of(behaviour)
    assert isinstance(found, ServiceProtocolError)
    assert re.search(message, str(found)), str(found)
    assert str(found).isprintable()


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "application/json;x"])
def test_json_with_parameters_is_json(kind: str) -> None:
    with listening(lambda connection, _: connection.sendall(answer(200, b'{"a": 1}', kind))) as port:
        assert outcome(port) == {"a": 1}


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity, gzip", "x" * 500])
def test_a_packed_body_is_refused_and_never_unpacked(coding: str) -> None:
    packed = gzip.compress(b" " * (1 << 20))
    found = error_of(
        lambda connection, _: connection.sendall(
            answer(200, packed, "application/json", f"Content-Encoding: {coding}\r\n")
        )
    )
    assert isinstance(found, ServiceProtocolError)
    assert "not unpacked" in str(found)
    with listening(
        lambda c, _: c.sendall(answer(200, b"{}", "application/json", "Content-Encoding: identity\r\n"))
    ) as port:
        assert outcome(port) == {}


def test_ciphertexts_are_octets() -> None:
    with (
        listening(lambda connection, _: connection.sendall(answer(200, HTML))) as port,
        Transport(f"http://127.0.0.1:{port}", 5) as transport,
        pytest.raises(ServiceProtocolError, match="no ciphertext or file .a page of HTML"),
    ):
        transport.request("GET", "/x", limit=1000, kind=OCTETS)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_redirects_are_named_and_not_followed(status: int, method: str) -> None:
    asked: list[bytes] = []
    with listening(lambda c, _: c.sendall(answer(200, b"{}", "application/json"))) as elsewhere:

        def plain(connection: socket.socket, found: bytes) -> None:
            asked.append(found)
            connection.sendall(answer(status, b"", more=f"Location: http://127.0.0.1:{elsewhere}/secret\r\n"))

        with (
            listening(plain) as port,
            Transport(f"http://127.0.0.1:{port}", 5, patience_seconds=5) as transport,
            pytest.raises(ServiceProtocolError, match=f"status {status}, a redirect, and none is followed") as caught,
        ):
            transport.request(method, "/x", limit=10)
    assert len(asked) == 1
    assert "secret" not in str(caught.value)


def test_untrusted_certificates_are_named(tmp_path: Path) -> None:
    certificate, key = make_pair(tmp_path)
    with (
        listening(lambda c, _: c.sendall(OK), tls_context(certificate, key)) as port,
        Transport(f"https://127.0.0.1:{port}", 5) as transport,
        pytest.raises(ServiceUnavailable, match="no TLS that is trusted here .*(?i:certificate).* as CA file"),
    ):
        transport.get_json("/v1/models")

    def plain(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer(400, HTML))

    with (
        raw_listening(plain) as port,
        Transport(f"https://127.0.0.1:{port}", 5) as transport,
        pytest.raises(ServiceUnavailable, match="speaks no TLS at all .*; try http:// if its provider says so"),
    ):
        transport.get_json("/v1/models")


def test_addresses_with_passwords_are_refused_and_not_shown() -> None:
    for url in ("http://me:hunter2@127.0.0.1", "ftp://me:hunter2@host", "http://me:hun/ter2@host:x", "me:hunter2@host"):
        with pytest.raises(SettingError) as caught:
            Transport(url, 1)
        assert "hun" not in str(caught.value)
        assert caught.value.__cause__ is None
