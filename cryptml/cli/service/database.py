"""``cryptml database``: the form of a service's tables."""

from __future__ import annotations

from typing import Annotated

import typer

from cryptml.cli.console import say
from cryptml.cli.verbs import create_group

app = create_group("Keep a service's database in this version's form.")


@app.callback()
def main() -> None:
    """Keep a service's database in this version's form."""


@app.command("upgrade")
def upgrade(
    database: Annotated[
        str | None,
        typer.Option(
            help="Such as postgresql+psycopg://USER@HOST/NAME; better in the variable CRYPTML_DATABASE, which others cannot see."
        ),
    ] = None,
) -> None:
    """Make the tables, or bring them to this version's form; stop the service first. An embedded database needs no such step."""
    from cryptml_server.base.settings_sources import read_settings
    from cryptml_server.database.administration import upgrade_database

    upgrade_database(read_settings({"database": database}, needs_bundles=False))
    say("the database has this version's form")
