"""A service for its settings, from the first check to its end."""

from __future__ import annotations

import socket
from collections.abc import Callable

from cryptml.errors import SettingError
from cryptml.files import require_writable
from cryptml_server.app import create_app
from cryptml_server.base.settings import Settings
from cryptml_server.base.tls import tls_context
from cryptml_server.http.logs import configure_logging
from cryptml_server.http.serving import serve


def run_service(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until told to end by SIGTERM or SIGINT, then finish what is at work; a second signal ends it at once.

    Args:
        settings: Of the service.
        announce: Told once, in one line, what is served where, as soon as requests are answered.

    Raises:
        CryptmlError: If something that the settings name cannot be used.
    """
    configure_logging(settings)
    if settings.tls_certificate is not None and settings.tls_key is not None:
        tls_context(settings.tls_certificate, settings.tls_key)  # refused before anything is touched
    require_writable(settings.data, SettingError)
    bound = _bind(settings.host, settings.port)  # before anything of a service that runs already is touched
    app = create_app(settings)
    address = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "http" if settings.tls_certificate is None else "https"
    where = f"{scheme}://{address}:{bound.getsockname()[1]}"
    serve(app, settings, bound, lambda: announce(f"serving {', '.join(app.state.models)} at {where}"))


def _bind(host: str, port: int) -> socket.socket:
    """Bind before anything is started, so that a busy port is one clear sentence."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a name of a host"
        raise SettingError(
            f"cannot listen on {host} port {port} ({reason}); choose another with --port, 0 for a free one"
        ) from error
    return bound
