"""Proxies between client and service: chosen, spoken to, named when they fail, and never shown with their passwords."""

from __future__ import annotations

import base64
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptml_client.http.proxies import choose_proxy
from cryptml_client.transport import Transport
from cryptml_server.base.tls import tls_context
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from cryptml.cli.main import app
from cryptml.errors import CryptmlError, ServiceProtocolError, ServiceTimeout, ServiceUnavailable, SettingError
from tests.bounds import ENDS_SECONDS
from tests.service.client.awkward import HTML, OK, answer, drip, listening, raw_listening, read_request, tunnels

VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *map(str.upper, VARIABLES), "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for service.test and proxies on this machine, and its key."""
    import datetime
    import ipaddress

    folder = tmp_path_factory.mktemp("pair")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "service.test")])
    names = [x509.DNSName("service.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@pytest.fixture
def service(pair: tuple[Path, Path]) -> Iterator[int]:
    """The port of a service that speaks TLS as service.test, and answers every request."""

    def behaviour(connection: socket.socket, found: bytes) -> None:
        while found:
            connection.sendall(OK)
            found = read_request(connection)

    with listening(behaviour, tls_context(*pair)) as port:
        yield port


def chosen(url: str, given: str | None = None) -> str | None:
    proxy = choose_proxy(httpx.URL(url), given)
    return None if proxy is None else f"{proxy.scheme}://{proxy}"


# ---- which one


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen("http://service.test") is None
    monkeypatch.setenv("HTTP_PROXY", "http://big:1")
    monkeypatch.setenv("HTTPS_PROXY", "https://secure")
    monkeypatch.setenv("ALL_PROXY", "socks5://all:3")
    assert chosen("http://service.test") == "http://big:1"
    assert chosen("https://service.test") == "https://secure:443"
    monkeypatch.setenv("https_proxy", "small:8080")
    assert chosen("https://service.test") == "http://small:8080", "small letters first, http where no scheme is"
    monkeypatch.setenv("http_proxy", "")
    assert chosen("http://service.test") is None, "an empty one switches off"
    monkeypatch.setenv("https_proxy", "http://[fd00::1]:3128/")
    assert chosen("https://service.test") == "http://[fd00::1]:3128"


def test_no_proxy_and_this_machine_are_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    monkeypatch.setenv("NO_PROXY", "clinic.test, .lab.test,10.0.0.7,fd00::1,host.test:8443")
    for host in ("clinic.test", "a.clinic.test", "lab.test", "x.lab.test", "10.0.0.7", "[fd00::1]", "host.test:8443"):
        assert chosen(f"https://{host}") is None, host
    for host in ("myclinic.test", "10.0.0.70", "host.test", "host.test:443"):
        assert chosen(f"https://{host}") == "http://p:1", host
    monkeypatch.setenv("NO_PROXY", "*")
    assert chosen("https://anything.test") is None
    monkeypatch.delenv("NO_PROXY")
    for host in ("127.0.0.1", "localhost", "LOCALHOST.", "x.localhost", "[::1]", "127.8.9.1", "[::ffff:127.0.0.1]"):
        assert chosen(f"https://{host}:8000") is None, host
        assert chosen(f"https://{host}:8000", "http://told:1") is None, host


def test_what_is_told_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    monkeypatch.setenv("NO_PROXY", "service.test")
    assert chosen("https://service.test", "http://told:2") == "http://told:2"
    monkeypatch.delenv("NO_PROXY")
    for none in ("none", "direct", "None"):
        assert chosen("https://service.test", none) is None


@pytest.mark.parametrize(
    "wrong",
    ["http://", "ftp://p:1", "http://p:99999", "http://p:x", "http://p/path", "http://p:1?x", "http://me:hunter2@p:x", "http://p q", "\x00"],
)  # fmt: skip
def test_what_is_no_address_of_a_proxy_is_named_by_its_place(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[tuple[str, str | None]] = [("the option proxy", wrong)]
    if "\x00" not in wrong:
        places += [("HTTPS_PROXY", None), ("https_proxy", None)]
    for place, given in places:
        if given is None:
            monkeypatch.setenv(place, wrong)
        with pytest.raises(SettingError, match=f"{place} is not the address of a proxy") as caught:
            choose_proxy(httpx.URL("https://service.test"), given)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_socks_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5h://me:hunter2@p:1080")
    with pytest.raises(SettingError, match="HTTPS_PROXY names a SOCKS proxy") as caught:
        Transport("https://service.test", 1)
    assert "hunter2" not in str(caught.value)


# ---- spoken to


def test_http_services_are_asked_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    with listening(tunnels(0, seen)) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        with Transport("http://service.test:81", 5) as transport:
            assert transport.get_json("/v1/models") == {}
    assert seen == ["GET http://service.test:81/v1/models HTTP/1.1"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_https_services_are_reached_by_a_tunnel(
    service: int, pair: tuple[Path, Path], scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    """By https the service's TLS lies within the proxy's."""
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    credentials = base64.b64encode("mé:hunter2@".encode()).decode()
    with (
        listening(tunnels(service, seen, credentials), tls_context(*pair) if scheme == "https" else None) as port,
        Transport(
            "https://service.test",
            20,
            "a-token",
            ca_file=pair[0],
            proxy=f"{scheme}://m%C3%A9:hunter2%40@127.0.0.1:{port}",
        ) as transport,
    ):
        for _ in range(3):
            assert transport.get_json("/v1/models") == {}
        transport.request("POST", "/x", content=b"x" * (3 << 20), limit=10)
    assert seen == ["CONNECT service.test:443 HTTP/1.1"], "one tunnel, and the token within it"
    for secret in ("hunter2", "a-token", credentials):
        assert secret not in caplog.text


# ---- where it fails


def failing(
    behaviour: Any, *, service: str = "https://service.test", user: str = "", timeout: float = 5
) -> CryptmlError:
    started = time.monotonic()
    with (
        listening(behaviour) as port,
        Transport(service, timeout, proxy=f"http://{user}127.0.0.1:{port}", patience_seconds=0) as transport,
        pytest.raises(CryptmlError) as caught,
    ):
        transport.get_json("/v1/models")
    assert time.monotonic() - started < timeout + ENDS_SECONDS
    assert f"the proxy 127.0.0.1:{port}" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert str(caught.value).isprintable()
    return caught.value


def test_a_proxy_that_wants_a_password() -> None:
    for service in ("http://service.test", "https://service.test"):
        for user in ("", "me:hunter2@"):
            found = failing(tunnels(0, [], "other"), service=service, user=user)
            assert isinstance(found, ServiceProtocolError)
            assert "wants a user and a password" in str(found)
            assert "the option proxy, as http://user:password@host:port" in str(found)


@pytest.mark.parametrize(
    ("status", "kind"), [(403, ServiceProtocolError), (502, ServiceUnavailable), (302, ServiceProtocolError)]
)
def test_a_proxy_that_makes_no_tunnel(status: int, kind: type[CryptmlError]) -> None:
    found = failing(lambda c, _: c.sendall(answer(status, HTML * 1000, more="Location: http://login.test/\r\n")))
    assert isinstance(found, kind)
    assert f"does not connect to https://service.test (status {status})" in str(found)


def test_a_page_of_a_proxy_before_an_http_service() -> None:
    found = failing(lambda c, _: c.sendall(answer(403, HTML)), service="http://service.test")
    assert "a page of HTML, through the proxy" in str(found)


def test_a_proxy_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:hunter2@127.0.0.1:{port}")
    with (
        Transport("https://service.test", 5) as transport,
        pytest.raises(
            ServiceUnavailable, match=f"the proxy 127.0.0.1:{port} does not answer .* check HTTPS_PROXY"
        ) as caught,
    ):
        transport.get_json("/v1/models")
    assert "hunter2" not in str(caught.value)


def test_a_proxy_that_drips_or_speaks_no_http() -> None:
    found = failing(lambda c, _: drip(c, b"HTTP/1.1 200 OK\r\nX: ", b"x"), timeout=0.5)
    assert isinstance(found, ServiceTimeout)
    found = failing(lambda c, _: drip(c, b"HTTP/1.1 200 OK\r\n\r\n", b""), timeout=0.5)
    assert isinstance(found, ServiceTimeout), "a tunnel that leads nowhere"
    assert "does not speak HTTP" in str(failing(lambda c, _: c.sendall(b"SSH-2.0\r\n" * 5)))


def test_tls_within_tls_that_drips(pair: tuple[Path, Path]) -> None:
    def trickle(connection: socket.socket) -> None:
        connection.recv(4096)
        drip(connection, b"\x16\x03\x03\x40\x00", b"\x02")

    started = time.monotonic()
    with (
        raw_listening(trickle) as service,
        listening(tunnels(service, []), tls_context(*pair)) as port,
        Transport("https://service.test", 1, ca_file=pair[0], proxy=f"https://127.0.0.1:{port}") as transport,
        pytest.raises(ServiceTimeout, match="within 1 s, through the proxy"),
    ):
        transport.get_json("/v1/models")
    assert time.monotonic() - started < ENDS_SECONDS


def test_what_a_proxy_puts_before_tls_is_not_taken() -> None:
    def behaviour(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nsomething in the clear")
        time.sleep(5)

    with (
        listening(behaviour) as port,
        Transport("https://service.test", 2, proxy=f"http://127.0.0.1:{port}") as transport,
        pytest.raises(ServiceUnavailable, match="sent something in the clear"),
    ):
        transport.get_json("/v1/models")


def test_the_certificate_behind_the_tunnel_counts(service: int, tmp_path: Path) -> None:
    with (
        listening(tunnels(service, [])) as port,
        Transport("https://service.test", 5, proxy=f"http://127.0.0.1:{port}") as transport,
        pytest.raises(ServiceUnavailable, match="https://service.test speaks no TLS that is trusted"),
    ):
        transport.get_json("/v1/models")


def test_commands_take_it(tmp_path: Path) -> None:
    seen: list[str] = []
    picture = tmp_path / "x.png"
    from PIL import Image

    Image.new("L", (64, 64)).save(picture)
    commands = (
        ["predict", str(picture)],
        ["scan", str(picture), "--out", str(tmp_path / "map.png")],
        ["keys", "make"],
    )
    with listening(tunnels(0, seen)) as port:
        for command in commands:
            arguments = ["--server", "http://service.test", "--keys", str(tmp_path / "keys")]
            result = CliRunner().invoke(app, [*command, *arguments, "--proxy", f"http://127.0.0.1:{port}"])
            assert "list of models" in str(result.exception), command
    assert seen == ["GET http://service.test/v1/models HTTP/1.1"] * 3
