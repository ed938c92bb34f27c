"""The certificate and the key that the service proves its name with."""

from __future__ import annotations

import ssl
from pathlib import Path

from cryptml.errors import SettingError


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what encrypts connections, with TLS 1.2 or later.

    Args:
        certificate: PEM file, the service's own first, then those between it and its authority.
        key: PEM file of the certificate's private key, without a passphrase.

    Raises:
        SettingError: If a file cannot be read, or they do not belong together.
    """
    _require_readable("certificate", certificate)
    _require_readable("key", key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "unreadable"
        raise SettingError(
            f"the TLS certificate {certificate} and the key {key} cannot be used ({reason}); give PEM files that belong "
            "together, the key without a passphrase"
        ) from error
    return context


def _require_readable(what: str, path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise SettingError(
            f"the TLS {what} {path} cannot be read ({error.strerror}); check path, owner and mode"
        ) from error
