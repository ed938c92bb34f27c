"""``cryptml serve``: answer encrypted requests."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated

import typer

from cryptml.cli.console import out, say
from cryptml.cli.service_settings import read_settings
from cryptml.errors import SettingError


def serve(
    bundles: Annotated[
        list[Path] | None, typer.Argument(help="Folders that cryptml build wrote; may be in the settings instead.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="8000 by default; 0 takes a free port.")] = None,
    data: Annotated[Path | None, typer.Option(help="Where evaluation keys and the database are.")] = None,
    database: Annotated[
        str | None, typer.Option(help="postgresql+psycopg://USER@HOST/NAME; a file in --data if not given.")
    ] = None,
    insecure_anonymous: Annotated[
        bool, typer.Option("--insecure-anonymous", help="Answer whoever asks, without tokens; on this machine alone.")
    ] = False,
    settings_file: Annotated[
        Path | None, typer.Option("--settings", help="TOML file of settings; cryptml settings lists them.")
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="PEM file; with --tls-key the service speaks https.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")] = None,
    evaluation_seconds: Annotated[float | None, typer.Option(help="Limit for one evaluation; 900 by default.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Evaluations at once, a process each; 1 by default.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of each worker; the cores divided among them by default.")
    ] = None,
    executor: Annotated[
        str | None, typer.Option(help="Where workers run: local, the default, or ray, on the machines of a cluster.")
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option(help="HOST:PORT of the Ray cluster's head, or auto; with --executor ray.")
    ] = None,
) -> None:
    """Serve bundles over HTTP until told to end; prints the address once it listens.

    At SIGTERM or SIGINT it finishes what is at work, within drain_seconds, and begins nothing new; at a second one it leaves at once.

    Only tenants are answered: cryptml tenants add gives a client its token.
    What is not given is taken from the environment (CRYPTML_HOST, CRYPTML_PORT, CRYPTML_DATA, ...).
    """
    from cryptml_server import create_app
    from cryptml_server.logs import configure_logging
    from cryptml_server.serving import serve as serve_until_told
    from cryptml_server.tls import tls_context

    settings = read_settings(
        {
            "bundles": tuple(bundles) if bundles else None,
            "host": host,
            "port": port,
            "data": data,
            "database": database,
            "insecure_anonymous": insecure_anonymous or None,
            "tls_certificate": tls_certificate,
            "tls_key": tls_key,
            "evaluation_seconds": evaluation_seconds,
            "workers": workers,
            "threads": threads,
            "executor": executor,
            "ray_address": ray_address,
        },
        file=settings_file,
    )
    configure_logging(settings)
    if settings.tls_certificate is not None and settings.tls_key is not None:
        tls_context(settings.tls_certificate, settings.tls_key)  # refused before anything is touched
    listening = _listen(settings.host, settings.port)  # before anything of a service that runs already is touched
    app = create_app(settings)
    address = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "http" if settings.tls_certificate is None else "https"
    say(f"serving {', '.join(app.state.models)} at {scheme}://{address}:{listening.getsockname()[1]}")
    out.file.flush()
    serve_until_told(app, settings, listening)


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
