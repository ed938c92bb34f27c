"""A live service, real sockets: everything bad gets a problem document and a 4xx, and the service goes on."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from cryptml.bundle import ClientBundle
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.files import sha256
from cryptml.networks import Network
from cryptml.splits import Segment
from tests.service.clinic import Clinic

pytestmark = pytest.mark.encrypted


class Kit(Clinic):
    """Everything that an honest client has, for making dishonest requests from."""

    def __init__(self, service: Any) -> None:
        self.http = httpx.Client(base_url=service.url, timeout=120)
        super().__init__(service.bundle)
        self.ciphertext = self.client.encrypt(self.values)

    def put(self, body: bytes, digest: str | None = None, **headers: str) -> httpx.Response:
        name = digest or hashlib.sha256(body).hexdigest()
        return self.http.put(
            f"/v1/models/tiny/evaluation-keys/{name}",
            params={"segment": 0},
            content=body,
            headers={"CryptML-Circuit": self.identity, **headers},
        )

    def post(self, body: bytes, segment: int = 0, keys: str | None = None, **headers: str) -> httpx.Response:
        return self.http.post(
            f"/v1/models/tiny/segments/{segment}/evaluations",
            content=body,
            headers={"CryptML-Circuit": self.identity, "CryptML-Evaluation-Keys": keys or self.keys.digest, **headers},
        )


@pytest.fixture(scope="module")
def kit(tiny_service: Any) -> Kit:
    made = Kit(tiny_service)
    assert made.put(made.keys.evaluation_keys).status_code == 201
    return made


def problem(answer: httpx.Response, status: int, title: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert set(document) == {"type", "title", "status", "detail", "request_id"}
    assert document["request_id"] == answer.headers["x-request-id"]
    assert (document["title"], document["status"]) == (title, status)
    return document["detail"]


def test_an_honest_evaluation(kit: Kit, tiny: Network) -> None:
    answer = kit.post(kit.ciphertext)
    assert answer.status_code == 200
    assert answer.headers["server-timing"].startswith("evaluate;dur=")
    assert np.array_equal(kit.client.decrypt(answer.content), tiny.run(kit.values, Segment(2, 5)))


def test_uploading_twice_is_safe_and_keys_can_be_deleted(kit: Kit, tiny_service: Any) -> None:
    keys = KeySet.generate(kit.circuit)
    path = f"/v1/models/tiny/evaluation-keys/{keys.digest}"
    assert kit.http.head(path, params={"segment": 0}).status_code == 404
    assert kit.put(keys.evaluation_keys).status_code == 201
    assert kit.put(keys.evaluation_keys).status_code == 200
    assert kit.http.head(path, params={"segment": 0}).status_code == 200
    files = (tiny_service.data / "evaluation-keys").glob(f"*/{kit.identity}/*")
    (stored,) = [path for path in files if path.read_bytes() == keys.evaluation_keys]
    assert stored.stat().st_mode & 0o077 == 0
    assert kit.http.delete(path, params={"segment": 0}).status_code == 204
    assert not stored.exists()
    problem(kit.http.delete(path, params={"segment": 0}), 404, "Unknown evaluation keys")
    problem(kit.post(kit.ciphertext, keys=keys.digest), 404, "Unknown evaluation keys")


def test_ciphertexts_of_the_wrong_length(kit: Kit) -> None:
    assert "at least" in problem(kit.post(kit.ciphertext[:100]), 422, "Body too short")
    assert "at least" in problem(kit.post(b""), 422, "Body too short")
    assert "at most" in problem(kit.post(kit.ciphertext + bytes(1 << 20)), 413, "Body too long")


def test_a_body_without_announced_length_is_bounded_too(kit: Kit) -> None:
    def endless() -> Any:
        for _ in range(64):
            yield bytes(1 << 16)

    answer = kit.http.post(
        "/v1/models/tiny/segments/0/evaluations",
        content=endless(),
        headers={"CryptML-Circuit": kit.identity, "CryptML-Evaluation-Keys": kit.keys.digest},
    )
    problem(answer, 413, "Body too long")


def test_ciphertexts_that_are_none(kit: Kit) -> None:
    for body in (os.urandom(len(kit.ciphertext)), bytes(len(kit.ciphertext)), kit.ciphertext[::-1]):
        problem(kit.post(body), 422, "Unusable ciphertext")


def test_a_body_that_claims_to_be_longer_than_it_is(kit: Kit) -> None:
    """Concrete would take gigabytes, and minutes, for what the table of segments promises."""
    head = bytearray(kit.ciphertext)
    head[11] |= 0x80
    assert "as long as it says" in problem(kit.post(bytes(head)), 422, "Unusable ciphertext")
    keys = bytearray(kit.keys.evaluation_keys)
    keys[7] |= 0x80
    assert "as long as they say" in problem(kit.put(bytes(keys)), 422, "Unusable evaluation keys")
    assert "as long as it says" in problem(kit.post(kit.ciphertext + bytes(8)), 422, "Unusable ciphertext")


@pytest.mark.parametrize("announced", ["99999999999999999999", "{more}"])
def test_a_part_that_is_said_to_be_longer_than_what_is_missing_is_refused(kit: Kit, announced: str) -> None:
    length = len(kit.keys.evaluation_keys)
    head = (
        f"PATCH /v1/models/tiny/evaluation-keys/{'a' * 64}?segment=0 HTTP/1.1\r\nHost: localhost\r\n"
        f"CryptML-Circuit: {kit.identity}\r\nUpload-Offset: 0\r\nUpload-Length: {length}\r\n"
        f"Content-Length: {announced.format(more=length + 1)}\r\n\r\n"
    )
    url = kit.http.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=30) as connection:
        connection.sendall(head.encode())
        raw = connection.recv(1 << 16)
    assert raw.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in raw
    missing = kit.http.head(f"/v1/models/tiny/evaluation-keys/{'a' * 64}", params={"segment": 0})
    assert missing.headers["upload-offset"] == "0"


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/tiny/segments/0/evaluations", "/v1/nowhere"])
def test_a_request_that_says_its_length_twice_is_refused_and_its_connection_closed(kit: Kit, path: str) -> None:
    inner = b"GET /v1/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    body = b"0\r\n\r\n" + inner
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    url = kit.http.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=30) as connection:
        connection.sendall(head.encode() + body)
        raw = b""
        while block := connection.recv(1 << 16):
            raw += block
    assert raw.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in raw
    assert b"Ambiguous length" in raw
    assert raw.count(b"HTTP/1.1 ") == 1


def test_no_answer_sends_a_client_to_another_host(kit: Kit) -> None:
    answer = kit.http.get("/v1/models/", headers={"Host": "evil.example"})
    problem(answer, 404, "Not Found")
    assert "location" not in answer.headers


def test_a_ciphertext_for_another_segment_or_of_another_key(kit: Kit, build_tiny: Any) -> None:
    other = ClientBundle.load(build_tiny("CCSCC").folder / "client").server_steps[0].circuit
    foreign = ClientCircuit(other, KeySet.generate(other)).encrypt(kit.values)
    headers = {"CryptML-Circuit": sha256(other.client_specs)}
    assert "another circuit" in problem(kit.post(foreign, 0, None, **headers), 409, "Another circuit")
    unknown = KeySet.generate(kit.circuit)
    body = ClientCircuit(kit.circuit, unknown).encrypt(kit.values)
    problem(kit.post(body, keys=unknown.digest), 404, "Unknown evaluation keys")
    # One that lies about its circuit is caught by what it is, not by what it says.
    answer = kit.post(foreign)
    assert answer.status_code in (413, 422), answer.text
    assert kit.post(kit.ciphertext).status_code == 200


def test_evaluation_keys_that_are_none(kit: Kit, tiny_service: Any, build_tiny: Any) -> None:
    keys = kit.keys.evaluation_keys
    problem(kit.put(keys[:-100_000]), 422, "Body too short")
    problem(kit.put(keys + bytes(1 << 20)), 413, "Body too long")
    problem(kit.put(os.urandom(len(keys))), 422, "Unusable evaluation keys")
    problem(kit.put(keys, digest="0" * 64), 422, "Digest mismatch")
    other = ClientBundle.load(build_tiny("CCSCC").folder / "client").server_steps[0].circuit
    foreign = KeySet.generate(other).evaluation_keys
    problem(kit.put(foreign), 422, "Body too short")
    problem(kit.put(keys, **{"CryptML-Circuit": sha256(other.client_specs)}), 409, "Another circuit")
    left = [path for path in (tiny_service.data / "evaluation-keys").rglob("*") if path.name.startswith(".upload")]
    assert left == []


@pytest.mark.parametrize(
    ("path", "status", "title"),
    [
        ("/v1/models/nobody", 404, "Unknown model"),
        ("/v1/models/nobody/client-bundle", 404, "Unknown model"),
        ("/v1/models/tiny/client-bundle/secret.txt", 404, "Unknown file"),
        ("/v1/models/tiny/client-bundle/manifest.json", 404, "Unknown file"),
        ("/v1/models/tiny/client-bundle/..%2Fserver%2Fmanifest.json", 404, "Not Found"),
        ("/v1/models/tiny/client-bundle/%2e%2e", 404, "Unknown file"),
        ("/v2/models", 404, "Not Found"),
    ],
)
def test_addresses_that_lead_nowhere(kit: Kit, path: str, status: int, title: str) -> None:
    problem(kit.http.get(path), status, title)


@pytest.mark.parametrize("part", ["bytes=0-3", "bytes=999999999-", "bytes=0-0,2-3", "nonsense"])
def test_a_file_is_given_as_a_whole(kit: Kit, part: str) -> None:
    path = "/v1/models/tiny/client-bundle/weights.safetensors"
    whole, found = kit.http.get(path), kit.http.get(path, headers={"Range": part})
    assert (found.status_code, found.content) == (200, whole.content)


def test_requests_that_break_the_interface(kit: Kit) -> None:
    problem(kit.post(kit.ciphertext, segment=1), 404, "Unknown segment")
    problem(kit.post(kit.ciphertext, segment=-1), 422, "Invalid request")
    problem(kit.post(kit.ciphertext, segment=10**30), 422, "Invalid request")
    problem(kit.put(b"x", digest="..%2f..%2fetc%2fpasswd"), 404, "Not Found")
    problem(kit.put(b"x", digest="g" * 64), 422, "Invalid request")
    problem(kit.http.post("/v1/models/tiny/segments/0/evaluations", content=b""), 422, "Invalid request")
    problem(kit.http.post("/v1/models"), 405, "Method Not Allowed")


def test_descriptions(kit: Kit, tiny_service: Any) -> None:
    assert kit.http.get("/v1/health/live").json() == {"status": "live"}
    assert kit.http.get("/v1/health/ready").json() == {"status": "ready"}
    (entry,) = kit.http.get("/v1/models").json()["models"]
    assert entry == {"model": "tiny", "split": "CCSSS", "digest": tiny_service.bundle.digest}
    (segment,) = kit.http.get("/v1/models/tiny").json()["segments"]
    assert segment["circuit"] == kit.identity
    assert segment["security_bits"] == 128
    assert segment["p_error"] == 2.0**-40
    assert segment["evaluation_key_bytes"] <= len(kit.keys.evaluation_keys)


def test_a_page_on_the_web_cannot_ask_for_its_visitor(kit: Kit) -> None:
    """Without tokens, a name that leads to this machine is not enough: it must be this machine's own."""
    for host in ("evil.example", "evil.example:80", "localhost.evil.example", "192.0.2.7"):
        answer = kit.http.get("/v1/models", headers={"Host": host})
        assert answer.status_code in (400, 421), host
    assert kit.http.get("/v1/models", headers={"Host": "localhost:1"}).status_code == 200


def test_nothing_of_this_stopped_the_service(kit: Kit, tiny_service: Any) -> None:
    assert kit.post(kit.ciphertext).status_code == 200
    stored = [path.read_bytes() for path in Path(tiny_service.data).rglob("*") if path.is_file()]
    assert kit.keys.evaluation_keys in stored
