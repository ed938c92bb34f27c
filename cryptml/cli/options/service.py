"""The service's settings, from options and the environment, with what is wrong in one sentence."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from cryptml_server import Settings


@dataclass(frozen=True)
class ServiceOptions:
    """What the commands take that serve, or look at what would be served: settings by their names, and a file of more."""

    bundles: Annotated[
        list[Path] | None, typer.Argument(help="Folders that cryptml build wrote; may be in the settings instead.")
    ] = None
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.")] = None
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="8000 by default; 0 takes a free port.")] = None
    data: Annotated[Path | None, typer.Option(help="Where evaluation keys and the database are.")] = None
    database: Annotated[
        str | None, typer.Option(help="postgresql+psycopg://USER@HOST/NAME; a file in --data if not given.")
    ] = None
    insecure_anonymous: Annotated[
        bool, typer.Option("--insecure-anonymous", help="Answer whoever asks, without tokens; on this machine alone.")
    ] = False
    settings: Annotated[Path | None, typer.Option(help="TOML file of settings; cryptml settings lists them.")] = None
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file; with --tls-key the service speaks https.")] = (
        None
    )
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")] = None
    evaluation_seconds: Annotated[float | None, typer.Option(help="Limit for one evaluation; 900 by default.")] = None
    workers: Annotated[int | None, typer.Option(min=1, help="Evaluations at once, a process each; 1 by default.")] = (
        None
    )
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of each worker; the cores divided among them by default.")
    ] = None
    executor: Annotated[
        str | None, typer.Option(help="Where workers run: local, the default, or ray, on the machines of a cluster.")
    ] = None
    ray_address: Annotated[
        str | None, typer.Option(help="HOST:PORT of the Ray cluster's head, or auto; with --executor ray.")
    ] = None

    def given(self) -> dict[str, Any]:
        """Return what was given of the settings, by name; what was not is None."""
        given = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "settings"}
        return {
            **given,
            "bundles": tuple(self.bundles or ()) or None,
            "insecure_anonymous": self.insecure_anonymous or None,
        }

    def read(self) -> Settings:
        """Return the settings, as `read_settings` does."""
        from cryptml_server.base.settings_sources import read_settings

        return read_settings(self.given(), file=self.settings)
