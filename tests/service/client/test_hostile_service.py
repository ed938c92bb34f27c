"""What a hostile service can do to a client: a seeded sample of `python -m benchmarks.hostile_service`, and what it found."""

from __future__ import annotations

import socket
import warnings
from pathlib import Path

import pytest
from cryptml_client import KeyStore
from cryptml_client.transport import Transport

from benchmarks.hostile_service.campaign import Campaign
from benchmarks.hostile_service.plays import record
from benchmarks.hostile_service.report import verdicts
from cryptml.errors import ServiceProtocolError
from tests.service.client.awkward import answer, listening

pytestmark = pytest.mark.usefixtures("unmeasured_children")

SAMPLE = 90


@pytest.mark.encrypted
def test_whatever_a_service_answers_a_client_says_a_sentence_in_time_and_sends_nothing_else(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    plays = record(tmp_path, KeyStore(keys), {"SCSCS": False})
    result = Campaign(plays, keys, tmp_path, processes=2, seed=20240607).run(SAMPLE)
    assert result.answers >= SAMPLE
    assert result.ciphertexts > SAMPLE // 2
    assert not result.faults, [(fault.run, fault.what, fault.detail) for fault in result.faults]
    assert all(holds for holds, _ in verdicts(result)), verdicts(result)
    assert sum(row.right for row in result.rows.values()) > 5, "honest answers between hostile ones are right"


@pytest.mark.parametrize(
    "location",
    [
        "data:application/json,{}",
        "javascript:alert(1)",
        "http://[::1",
        "http://host:port/",
        "http://user:secret@localhost/",
        "//",
        "\x7f",
        "x" * 60_000,
        "http://127.0.0.1:99999/",
    ],
)
def test_a_redirect_is_refused_wherever_it_leads(location: str) -> None:
    def behaviour(connection: socket.socket, found: bytes) -> None:
        connection.sendall(answer(302, more=f"Location: {location}\r\n"))

    with (
        listening(behaviour) as port,
        Transport(f"http://127.0.0.1:{port}", 10) as transport,
        pytest.raises(ServiceProtocolError, match="a redirect, and none is followed"),
    ):
        transport.request("GET", "/v1/models", limit=100)


@pytest.mark.parametrize(
    "cookie", ["who=you; Path=/; Max-Age=9999999", "\xff=\x01; Expires=Thu, 99 Foo 99999", "a=b; Version=x"]
)
def test_a_cookie_is_not_kept_and_nothing_is_said_of_it(cookie: str) -> None:
    heads: list[bytes] = []

    def behaviour(connection: socket.socket, found: bytes) -> None:
        heads.append(found)
        connection.sendall(answer(200, b"{}", "application/json", f"Connection: close\r\nSet-Cookie: {cookie}\r\n"))

    with (
        listening(behaviour) as port,
        Transport(f"http://127.0.0.1:{port}", 10) as transport,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        for _ in range(2):
            assert transport.get_json("/v1/models") == {}
    assert len(heads) == 2
    assert not any(b"cookie" in head.lower() for head in heads)
