"""``cryptml doctor``: what is wrong with a deployment, or may become so."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cryptml.cli.console import out, print_json
from cryptml.cli.service_settings import read_settings
from cryptml.errors import SettingError
from cryptml.reports.table import plain_table

if TYPE_CHECKING:
    from cryptml_server.doctor import Finding

STYLES = {"ok": "green", "warning": "yellow", "wrong": "bold red"}


def doctor(
    bundles: Annotated[
        list[Path] | None, typer.Argument(help="Folders that cryptml build wrote; may be in the settings instead.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address that serve will listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port that serve will listen on.")] = None,
    data: Annotated[Path | None, typer.Option(help="Where evaluation keys and the database are.")] = None,
    database: Annotated[
        str | None, typer.Option(help="postgresql+psycopg://USER@HOST/NAME; a file in --data if not given.")
    ] = None,
    insecure_anonymous: Annotated[bool, typer.Option("--insecure-anonymous", help="As it is given to serve.")] = False,
    settings_file: Annotated[
        Path | None, typer.Option("--settings", help="TOML file of settings; cryptml settings lists them.")
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file, as it is given to serve.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")] = None,
    evaluation_seconds: Annotated[float | None, typer.Option(help="Limit for one evaluation.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Evaluations at once, a process each.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Of each worker.")] = None,
    executor: Annotated[
        str | None, typer.Option(help="Where workers run: local, the default, or ray, on the machines of a cluster.")
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option(help="HOST:PORT of the Ray cluster's head, or auto; with --executor ray.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at a deployment before it serves, or while it does: what is wrong, what may become so, and what to do.

    Takes what cryptml serve takes, as the user that serves. It leaves with code 1 where something is wrong.
    """
    from cryptml_server.doctor import Finding, examine

    try:
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
            needs_bundles=False,
        )
    except SettingError as error:
        instead = "correct them; nothing else can be looked at before"
        found = [Finding("settings", "wrong", str(error), instead)]
    else:
        found = [Finding("settings", "ok", "all of them can be used"), *examine(settings)]
    if json:
        print_json({"findings": [asdict(each) for each in found]})
    else:
        _print_table(found)
    if any(each.state == "wrong" for each in found):
        raise typer.Exit(1)


def _print_table(found: list[Finding]) -> None:
    columns = [("check", "left"), ("state", "left"), ("what", "left"), ("what to do", "left")]
    rows = [(each.check, Text(each.state, STYLES[each.state]), each.what, each.instead or "-") for each in found]
    table = plain_table("Deployment", columns, rows)
    for column in table.columns[2:]:
        column.no_wrap = False
    out.print(table)
