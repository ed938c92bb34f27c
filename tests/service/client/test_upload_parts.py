"""Evaluation keys through what stands between: proxies with limits, and services that do not know how much they have."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from cryptml_client.progress import Silent
from cryptml_client.transport import Transport
from cryptml_client.uploading import LEAST_PART_BYTES, MOST_DISAGREEMENTS, PART_BYTES, KeyUpload

from cryptml.errors import ServiceError, ServiceProtocolError, ServiceRefused, ServiceUnavailable
from tests.bounds import ENDS_SECONDS
from tests.service.client.awkward import HTML, answer, listening, read_head, read_request

DIGEST = "0" * 64
TOO_LARGE = answer(413, HTML)
OWN = json.dumps({"type": "urn:cryptml:problem:too-long", "title": "Too long", "detail": "too long"}).encode()


class Store:
    """A service's half of an upload, with something in front of it.

    Args:
        limit: Bytes of a body that come through.
        beyond: What becomes of larger ones; returns whether the connection stays.
    """

    def __init__(self, limit: int, beyond: Callable[[socket.socket, bytes], bool]) -> None:
        self.limit = limit
        self.beyond = beyond
        self.data = b""
        self.sizes: list[int] = []

    def __call__(self, connection: socket.socket, found: bytes) -> None:
        while found:
            head = found.partition(b"\r\n\r\n")[0].decode()
            fields = {k.lower(): v for k, _, v in (line.partition(": ") for line in head.split("\r\n"))}
            length = int(fields.get("content-length", 0))
            if head.startswith("HEAD"):
                connection.sendall(answer(404, b"", more=f"Upload-Offset: {len(self.data)}\r\n"))
            else:
                self.sizes.append(length)
                if length > self.limit:
                    if not self.beyond(connection, found):
                        return
                else:
                    self.data += read_request(connection, found).partition(b"\r\n\r\n")[2]
                    if len(self.data) == int(fields["upload-length"]):
                        connection.sendall(answer(201, b"{}", "application/json"))
                    else:
                        more = f"Upload-Offset: {len(self.data)}\r\n"
                        connection.sendall(f"HTTP/1.1 204 No Content\r\n{more}\r\n".encode())
            found = read_head(connection)


def read_and_refuse(connection: socket.socket, found: bytes) -> bool:
    read_request(connection, found)
    connection.sendall(TOO_LARGE)
    return True


def refuse_at_once(connection: socket.socket, _: bytes) -> bool:
    connection.sendall(TOO_LARGE)
    time.sleep(0.3)
    return False


def close(connection: socket.socket, _: bytes) -> bool:
    connection.recv(100_000)
    return False


@contextmanager
def uploading(
    behaviour: Any, data: bytes, patience: float = 5.0, *, part_bytes: int = PART_BYTES
) -> Iterator[KeyUpload]:
    step: Any = SimpleNamespace(index=0, circuit=SimpleNamespace(client_specs=b""))
    keys: Any = SimpleNamespace(digest=DIGEST, evaluation_keys=data)
    with (
        listening(behaviour) as port,
        Transport(f"http://127.0.0.1:{port}", 10.0, patience_seconds=patience) as transport,
    ):
        yield KeyUpload(transport, "m", step, keys, Silent(), part_bytes=part_bytes)


@pytest.mark.parametrize("beyond", [read_and_refuse, refuse_at_once, close])
def test_parts_shrink_until_they_come_through_and_stay_so(beyond: Callable[[socket.socket, bytes], bool]) -> None:
    data = bytes(range(256)) * (5 << 12)  # 5 MiB
    store = Store(1 << 20, beyond)
    started = time.monotonic()
    with uploading(store, data) as upload:
        assert not upload.is_stored()
        upload.send()
    assert store.data == data
    tried = [size for size in store.sizes if size > 1 << 20]
    assert len(tried) <= 3, "and not again with what follows"
    assert store.sizes[0] == min(PART_BYTES, len(data))
    assert max(store.sizes[len(tried) :]) <= 1 << 20
    assert time.monotonic() - started < ENDS_SECONDS


def test_a_limit_below_the_smallest_part_is_said() -> None:
    store = Store(1000, read_and_refuse)
    with (
        uploading(store, b"x" * (1 << 20)) as upload,
        pytest.raises(
            ServiceProtocolError, match=rf"takes no request of {LEAST_PART_BYTES} bytes .*client_max_body_size"
        ),
    ):
        upload.send()
    assert store.sizes == [1 << 20, 1 << 19, 1 << 18, 1 << 17, 1 << 16]


def test_the_services_own_refusal_is_final() -> None:
    def own(connection: socket.socket, found: bytes) -> bool:
        read_request(connection, found)
        connection.sendall(answer(413, OWN, "application/problem+json"))
        return True

    store = Store(1000, own)
    with uploading(store, b"x" * (1 << 20)) as upload, pytest.raises(ServiceRefused, match="413 Too long"):
        upload.send()
    assert len(store.sizes) == 1


def test_a_gateways_problem_document_is_not_the_services() -> None:
    problem = json.dumps({"type": "about:blank", "title": "Too large", "detail": "x"}).encode()

    def gateway(connection: socket.socket, found: bytes) -> bool:
        read_request(connection, found)
        connection.sendall(answer(413, problem, "application/problem+json"))
        return True

    store = Store(1 << 19, gateway)
    with uploading(store, b"x" * (1 << 20)) as upload:
        upload.send()
    assert len(store.data) == 1 << 20


def test_an_evaluation_is_not_divided_and_its_size_is_named() -> None:
    with (
        listening(lambda c, found: c.sendall(TOO_LARGE) if read_request(c, found) else None) as port,
        Transport(f"http://127.0.0.1:{port}", 10.0, patience_seconds=5) as transport,
        pytest.raises(
            ServiceProtocolError, match=r"2097152 bytes .*raised to 2097152 bytes or more .*client_max_body_size"
        ),
    ):
        transport.request("POST", "/v1/x", content=b"x" * (2 << 20), limit=10, counts=True)


@pytest.mark.parametrize("offset", ["99999999", "999999999999999999"])
def test_a_service_that_has_more_than_there_is(offset: str) -> None:
    def behaviour(connection: socket.socket, found: bytes) -> None:
        while found:
            more = f"Upload-Offset: {offset}\r\n"
            connection.sendall(
                answer(404, b"", more=more) if found.startswith(b"HEAD") else answer(204, b"", more=more)
            )
            found = read_request(connection)

    with (
        uploading(behaviour, b"x" * 1000) as upload,
        pytest.raises(ServiceProtocolError, match="bytes of keys that have 1000"),
    ):
        upload.send()


@pytest.mark.parametrize("losing", ["conflict", "forgetting"])
def test_disagreements_have_an_end(losing: str) -> None:
    asked: list[bytes] = []

    def behaviour(connection: socket.socket, found: bytes) -> None:
        """A service that refuses every place to go on, or takes a part, breaks off with the next, and has forgotten it."""
        while found:
            if found.startswith(b"HEAD"):
                connection.sendall(answer(404, b"", more="Upload-Offset: 0\r\n"))
            else:
                asked.append(found[:10])
                read_request(connection, found)
                if losing == "conflict":
                    problem = b'{"title": "Other place", "detail": "x"}'
                    connection.sendall(answer(409, problem, "application/problem+json", "Upload-Offset: 7\r\n"))
                elif b"Upload-Offset: 0\r\n" in found:
                    connection.sendall(f"HTTP/1.1 204 No Content\r\nUpload-Offset: {LEAST_PART_BYTES}\r\n\r\n".encode())
                else:
                    return
            found = read_request(connection)

    started = time.monotonic()
    with (
        uploading(behaviour, b"x" * (4 * LEAST_PART_BYTES), 60.0, part_bytes=LEAST_PART_BYTES) as upload,
        pytest.raises(ServiceError),
    ):
        upload.send()
    assert len(asked) <= 2 * MOST_DISAGREEMENTS + 4
    assert time.monotonic() - started < ENDS_SECONDS


def test_a_page_is_no_success() -> None:
    """As the page of a hotel's network, which answers everything so."""
    page = answer(200, HTML)
    with uploading(lambda c, _: c.sendall(page), b"x" * 1000) as upload:
        with pytest.raises(ServiceProtocolError, match="a page of HTML"):
            upload.is_stored()
        upload._offset = 0
        with pytest.raises(ServiceProtocolError, match="a page of HTML"):
            upload.send()


def test_a_connection_that_is_closed_in_the_middle_of_much_is_explained() -> None:
    with (
        listening(close) as port,
        Transport(f"http://127.0.0.1:{port}", 10.0) as transport,
        pytest.raises(ServiceError, match="broke off"),
    ):
        transport.request("POST", "/v1/x", content=b"x" * (2 << 20), limit=10, counts=True)

    def good_at_first(connection: socket.socket, found: bytes) -> None:
        if found.startswith(b"GET"):
            connection.sendall(answer(200, b"{}", "application/json"))
        else:
            close(connection, found)

    with listening(good_at_first) as port, Transport(f"http://127.0.0.1:{port}", 10.0) as transport:
        transport.get_json("/v1/models")
        with pytest.raises(
            ServiceUnavailable,
            match="ask whoever runs the proxy in front of the service to allow requests of 2097152 bytes",
        ):
            transport.request("POST", "/v1/x", content=b"x" * (2 << 20), limit=10, counts=True)
