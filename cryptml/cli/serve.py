"""``cryptml serve``: answer encrypted requests."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from cryptml.cli.console import out
from cryptml.errors import SettingError


def serve(
    bundles: Annotated[list[Path], typer.Argument(help="Folders that cryptml build wrote.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free port.")] = 8000,
    data: Annotated[Path | None, typer.Option(help="Where evaluation keys are stored.")] = None,
    evaluation_seconds: Annotated[float, typer.Option(help="Limit for one evaluation.")] = 900.0,
    threads: Annotated[int, typer.Option(min=1, help="Of the worker.")] = os.cpu_count() or 1,
) -> None:
    """Serve bundles over HTTP until interrupted; prints the address once it listens."""
    import uvicorn
    from cryptml_server import Settings, create_app
    from pydantic import ValidationError

    chosen: dict[str, Any] = {} if data is None else {"data": data}
    chosen |= {"bundles": tuple(bundles), "host": host, "port": port}
    chosen |= {"evaluation_seconds": evaluation_seconds, "threads": threads}
    try:
        settings = Settings(**chosen)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise SettingError(f"the service cannot be set up: {found}") from error
    app = create_app(settings)
    listening = _listen(host, port)
    address = f"[{host}]" if ":" in host else host
    out.print(f"serving {', '.join(app.state.models)} at http://{address}:{listening.getsockname()[1]}", soft_wrap=True)
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
    except OSError as error:
        raise SettingError(
            f"cannot listen on {host} port {port} ({error.strerror}); choose another with --port, 0 for a free one"
        ) from error
    return listening
