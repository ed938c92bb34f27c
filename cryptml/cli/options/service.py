"""The service's settings, from options and the environment, with what is wrong in one sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryptml.errors import SettingError
from cryptml.files import read_bounded

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from cryptml_server import Settings

MAX_FILE_BYTES = 1 << 20
PREFIX = "CRYPTML_"
FILE_VARIABLE = f"{PREFIX}SETTINGS"


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

    def read(self, *, needs_bundles: bool = True) -> Settings:
        """Return the settings, as `read_settings` does."""
        given = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "settings"}
        given |= {"bundles": tuple(self.bundles or ()) or None, "insecure_anonymous": self.insecure_anonymous or None}
        return read_settings(given, file=self.settings, needs_bundles=needs_bundles)


def read_settings(given: Mapping[str, Any], *, file: Path | None = None, needs_bundles: bool = True) -> Settings:
    """Return the settings; what is None is taken from the environment (CRYPTML_HOST, CRYPTML_DATA, ...) or is the default.

    Args:
        given: By name; these come first, then the environment, then the file.
        file: TOML, settings by their names in small letters; the one that the variable CRYPTML_SETTINGS names if not given.
        needs_bundles: Whether anything is to be served.

    Raises:
        SettingError: If a setting cannot be used, naming all that cannot.
    """
    from cryptml_server import Settings
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    named = {name: value for name, value in given.items() if value is not None}
    if file is None and os.environ.get(FILE_VARIABLE):
        file = Path(os.environ[FILE_VARIABLE])
    if file is not None:
        named = {**_in_file(file), **named}
    try:
        settings = Settings(**named)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}".lstrip(": ") for item in error.errors())
        raise SettingError(f"the service cannot be set up: {found}") from error
    except SettingsError as error:
        raise SettingError(
            f"the environment cannot be read: {error}; correct or unset the variable CRYPTML_..."
        ) from error
    if needs_bundles and not settings.bundles:
        raise SettingError("there is nothing to serve; name folders that cryptml build wrote")
    return settings


def _in_file(file: Path) -> dict[str, Any]:
    """Return what a TOML file sets and the environment does not.

    Raises:
        SettingError: If it cannot be read.
    """
    try:
        found = tomllib.loads(read_bounded(file, MAX_FILE_BYTES, SettingError).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"the settings file {file} is not TOML ({error}); correct it") from error
    known = {name.upper() for name in os.environ}
    return {name: value for name, value in found.items() if f"{PREFIX}{name.upper()}" not in known}
