"""Whether connections can be held, addresses be had, and who can read what goes over them."""

from __future__ import annotations

import http.client
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

from cryptography import x509

from cryptml.errors import CryptmlError
from cryptml_server.base.settings import Settings, is_loopback
from cryptml_server.base.tls import tls_context
from cryptml_server.operations.doctor.deployment import Deployment, Finding

PROBE_SECONDS = 5.0


SPARE_FILES = 128
"""Open files beside connections: database, log, pipes of workers, bundles that are handed out."""


EXPIRY_DAYS = 30


def check_open_files(deployment: Deployment) -> Iterator[Finding]:
    """Whether the system lets the service hold its connections."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = deployment.settings.connections + 2 * deployment.settings.workers + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < need:
        yield Finding(
            "open files",
            "wrong",
            f"{soft} are allowed, and {deployment.settings.connections} connections take {need}",
            "raise LimitNOFILE or ulimit -n, or lower connections",
        )
    else:
        yield Finding("open files", "ok", f"{need} are needed and allowed")


def check_tls(deployment: Deployment) -> Iterator[Finding]:
    """Whether certificate and key belong together and for how long they are valid; whether tokens travel in the clear."""
    settings = deployment.settings
    if settings.tls_certificate is None or settings.tls_key is None:
        if is_loopback(settings.host):
            yield Finding("tls", "ok", f"none; {settings.host} is this machine alone")
        else:
            yield Finding(
                "tls",
                "warning",
                f"{settings.host} may be reached by others, and tokens travel in the clear",
                "give tls_certificate and tls_key, or let a proxy with TLS stand before it",
            )
        return
    try:
        tls_context(settings.tls_certificate, settings.tls_key)
    except CryptmlError as error:
        yield Finding("tls", "wrong", str(error), "correct tls_certificate and tls_key")
        return
    ends = x509.load_pem_x509_certificates(settings.tls_certificate.read_bytes())[0].not_valid_after_utc
    days = (ends - datetime.now(UTC)).total_seconds() / 86_400
    what = f"certificate and key belong together; valid until {ends:%Y-%m-%d}"
    if days < 0:
        yield Finding("tls", "wrong", f"the certificate was valid until {ends:%Y-%m-%d}", "renew it")
    elif days < EXPIRY_DAYS:
        yield Finding("tls", "warning", what, "renew it")
    else:
        yield Finding("tls", "ok", what)


def check_port(deployment: Deployment) -> Iterator[Finding]:
    """Whether the port is free, or this service has it already."""
    settings = deployment.settings
    reason = _taken(settings.host, settings.port)
    where = f"{settings.host} port {settings.port}"
    if reason is None:
        yield Finding("port", "ok", f"{where} is free")
    elif settings.port and _is_served(settings):
        yield Finding("port", "ok", f"a service of this kind answers at {where}")
    else:
        yield Finding("port", "wrong", f"{where} cannot be had ({reason})", "choose another port or host")


def check_metrics(deployment: Deployment) -> Iterator[Finding]:
    """Whether numbers about the service can be had, and by whom."""
    settings = deployment.settings
    if settings.metrics_port is None:
        yield Finding("metrics", "ok", "none are offered")
        return
    where = f"{settings.metrics_host} port {settings.metrics_port}"
    if settings.metrics_port == settings.port and settings.metrics_host == settings.host:
        yield Finding("metrics", "wrong", f"{where} is the service's own", "choose another metrics_port")
    elif _taken(settings.metrics_host, settings.metrics_port) and not _is_served(settings):
        yield Finding("metrics", "wrong", f"{where} cannot be had", "choose another metrics_port")
    elif is_loopback(settings.metrics_host):
        yield Finding("metrics", "ok", f"at {where}, for this machine alone")
    else:
        yield Finding(
            "metrics",
            "warning",
            f"{where} may be reached by others, and asks for no token",
            "let metrics_host be 127.0.0.1, or an address that only Prometheus reaches",
        )


def _taken(host: str, port: int) -> str | None:
    """Return why an address cannot be listened on; None where it can."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or "not a name of a host"
    return None


def _is_served(settings: Settings) -> bool:
    """Return whether a service of this kind answers at the settings' address, whatever its certificate."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 (compared, not listened on)
    try:
        with closing(_connection(host, settings)) as connection:
            connection.request("GET", "/v1/health/live")
            return connection.getresponse().read(1000) == b'{"status":"live"}'
    except (OSError, http.client.HTTPException):
        return False


def _connection(host: str, settings: Settings) -> http.client.HTTPConnection:
    if settings.tls_certificate is None:
        return http.client.HTTPConnection(host, settings.port, timeout=PROBE_SECONDS)
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, settings.port, timeout=PROBE_SECONDS, context=anybody)
