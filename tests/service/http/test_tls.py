"""Encrypted connections: real handshakes, and what is said of files that cannot be used."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptml_server.base.settings import Settings
from cryptml_server.base.tls import tls_context
from pydantic import ValidationError
from typer.testing import CliRunner

from cryptml.cli.main import app
from cryptml.errors import SettingError
from cryptml.verification.local_service import local_service
from tests.service.key_pairs import make_pair
from tests.service.slow_service import slow_service


def test_a_service_with_a_certificate_is_asked_over_https(tmp_path: Path) -> None:
    certificate, key = make_pair(tmp_path)
    with slow_service(tmp_path, tls_certificate=str(certificate), tls_key=str(key)) as running:
        url = f"https://127.0.0.1:{running.port}"
        trusted = ssl.create_default_context(cafile=str(certificate))
        with httpx.Client(base_url=url, verify=trusted) as http:
            assert http.get("/v1/health/live").json() == {"status": "live"}
            assert http.post("/v1/slow/0", content=b"x" * 1_000_000).json() == {"read": "1000000"}
        with pytest.raises(httpx.ConnectError, match="(?i)certificate"):
            httpx.get(f"{url}/v1/health/live")
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{running.port}/v1/health/live")
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        plain = socket.create_connection(("127.0.0.1", running.port), timeout=10)
        with plain, pytest.raises((ssl.SSLError, ConnectionError)):
            old.wrap_socket(plain)
        running.tell()
        assert running.process.wait(20) == 0


@pytest.mark.encrypted
def test_what_comes_in_the_clear_is_no_part_of_what_comes_encrypted(tmp_path: Path) -> None:
    certificate, key = make_pair(tmp_path)
    trusted = ssl.create_default_context(cafile=str(certificate))
    with slow_service(tmp_path, tls_certificate=str(certificate), tls_key=str(key)) as running:
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", running.port), timeout=10) as raw:
                raw.sendall(b"GET /v1/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Rest: ")
                with pytest.raises(OSError):
                    trusted.wrap_socket(raw, server_hostname="127.0.0.1")


def test_serve_says_https(build_tiny: Any, tmp_path: Path) -> None:
    certificate, key = make_pair(tmp_path)
    files = {"CRYPTML_TLS_CERTIFICATE": str(certificate), "CRYPTML_TLS_KEY": str(key)}
    with local_service([build_tiny("CCSCC").folder], tmp_path / "data", files) as service:
        assert service.url.startswith("https://127.0.0.1:")
        trusted = ssl.create_default_context(cafile=str(certificate))
        assert httpx.get(f"{service.url}/v1/health/live", verify=trusted, timeout=60).status_code == 200


def test_files_that_cannot_be_used_are_one_sentence(tmp_path: Path) -> None:
    certificate, key = make_pair(tmp_path)
    _, other = make_pair(tmp_path, "other")
    _, locked = make_pair(tmp_path, "locked", passphrase=b"secret")
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(b"no certificate")
    tls_context(certificate, key)
    for wrong in (
        (certificate, other),
        (certificate, locked),
        (rubbish, key),
        (certificate, rubbish),
        (key, certificate),
    ):
        with pytest.raises(SettingError, match="cannot be used .*belong together"):
            tls_context(*wrong)
    with pytest.raises(SettingError, match=r"the TLS key .*none cannot be read \(No such file or directory\)"):
        tls_context(certificate, tmp_path / "none")
    with pytest.raises(SettingError, match=r"the TLS certificate .* cannot be read \(Is a directory\)"):
        tls_context(tmp_path, key)


def test_half_of_what_tls_takes_is_refused(tmp_path: Path) -> None:
    for half in ({"tls_certificate": tmp_path / "x"}, {"tls_key": tmp_path / "x"}):
        given: dict[str, Any] = dict(half)
        with pytest.raises(ValidationError, match="give both, or neither"):
            Settings(**given)


def test_serve_refuses_before_it_touches_anything(tmp_path: Path) -> None:
    certificate, _ = make_pair(tmp_path)
    _, other = make_pair(tmp_path, "other")
    command = ["serve", str(tmp_path), "--data", str(tmp_path / "data"), "--port", "0"]
    result = CliRunner().invoke(app, [*command, "--tls-certificate", str(certificate), "--tls-key", str(other)])
    assert isinstance(result.exception, SettingError)
    assert not (tmp_path / "data").exists()
