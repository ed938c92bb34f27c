"""``cryptml serve``: answer encrypted requests."""

from __future__ import annotations

import socket

from cryptml.cli.console import out, say
from cryptml.cli.options.service import ServiceOptions
from cryptml.cli.options.shared import with_shared_options
from cryptml.errors import SettingError


@with_shared_options
def serve(options: ServiceOptions) -> None:
    """Serve bundles over HTTP until told to end; prints the address once its workers have tried every circuit and it listens.

    At SIGTERM or SIGINT it finishes what is at work, within drain_seconds, and begins nothing new; at a second one it leaves at once.

    Only tenants are answered: cryptml tenants add gives a client its token.
    What is not given is taken from the environment (CRYPTML_HOST, CRYPTML_PORT, CRYPTML_DATA, ...).
    """
    from cryptml_server import create_app
    from cryptml_server.base.tls import tls_context
    from cryptml_server.http.logs import configure_logging
    from cryptml_server.http.serving import serve as serve_until_told

    settings = options.read()
    configure_logging(settings)
    if settings.tls_certificate is not None and settings.tls_key is not None:
        tls_context(settings.tls_certificate, settings.tls_key)  # refused before anything is touched
    bound = _bind(settings.host, settings.port)  # before anything of a service that runs already is touched
    app = create_app(settings)
    address = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "http" if settings.tls_certificate is None else "https"

    def announce() -> None:
        say(f"serving {', '.join(app.state.models)} at {scheme}://{address}:{bound.getsockname()[1]}")
        out.file.flush()

    serve_until_told(app, settings, bound, announce)


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
