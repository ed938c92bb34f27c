"""``cryptml serve``: answer encrypted requests."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from cryptml.cli.console import out, say
from cryptml.errors import SettingError


def serve(
    bundles: Annotated[list[Path], typer.Argument(help="Folders that cryptml build wrote.")],
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="8000 by default; 0 takes a free port.")] = None,
    data: Annotated[Path | None, typer.Option(help="Where evaluation keys are stored.")] = None,
    evaluation_seconds: Annotated[float | None, typer.Option(help="Limit for one evaluation; 900 by default.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Of the worker; all cores by default.")] = None,
) -> None:
    """Serve bundles over HTTP until interrupted; prints the address once it listens.

    What is not given is taken from the environment (CRYPTML_HOST, CRYPTML_PORT, CRYPTML_DATA, ...).
    """
    import uvicorn
    from cryptml_server import Settings, create_app
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    given: dict[str, Any] = {
        "bundles": tuple(bundles),
        "host": host,
        "port": port,
        "data": data,
        "evaluation_seconds": evaluation_seconds,
        "threads": threads,
    }
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise SettingError(f"the service cannot be set up: {found}") from error
    except SettingsError as error:
        raise SettingError(
            f"the environment cannot be read: {error}; correct or unset the variable CRYPTML_..."
        ) from error
    app = create_app(settings)
    listening = _listen(settings.host, settings.port)
    address = f"[{settings.host}]" if ":" in settings.host else settings.host
    say(f"serving {', '.join(app.state.models)} at http://{address}:{listening.getsockname()[1]}")
    out.file.flush()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5, server_header=False))
    server.run(sockets=[listening])
    if not server.started:
        raise SettingError("the service did not start; its log above says why")


def _listen(host: str, port: int) -> socket.socket:
    """Bind before anything is announced, so that a busy port is one clear sentence."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a name of a host"
        raise SettingError(
            f"cannot listen on {host} port {port} ({reason}); choose another with --port, 0 for a free one"
        ) from error
    return listening
