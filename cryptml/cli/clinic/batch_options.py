"""How many pictures are asked about: what is kept of their answers, and how long a service is waited for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptml.cli.output_files import check_new_file

if TYPE_CHECKING:
    from cryptml_client.batch.settings import RunSettings


@dataclass(frozen=True)
class BatchOptions:
    """What is kept of the answers, and how they are asked for."""

    csv: Annotated[
        Path | None,
        typer.Option("--csv", help="New CSV file for the answers; FILE.journal beside it until all are there."),
    ] = None
    journal: Annotated[
        Path | None,
        typer.Option("--journal", help="File that keeps the answers until all are there, without --csv too."),
    ] = None
    resume: Annotated[
        bool, typer.Option("--resume", help="Ask only for what --csv or --journal does not hold yet; fetch their jobs.")
    ] = False
    force: Annotated[bool, typer.Option("--force", help="Replace an existing CSV file.")] = False
    background: Annotated[
        bool,
        typer.Option(
            "--background",
            help="Ask for jobs, which survive broken connections and restarts; with --csv or --journal they are named, and --resume "
            "fetches them.",
        ),
    ] = False
    in_flight: Annotated[int, typer.Option(min=1, max=256, help="Pictures asked about at once.")] = 1
    patience: Annotated[
        float, typer.Option(min=0, max=86_400, help="Seconds for which a service that is away or busy is waited for.")
    ] = 60.0

    def settings(self, choices: Mapping[str, str | None]) -> RunSettings:
        """Return how the run is made.

        Args:
            choices: What else the answers depend on.

        Raises:
            SettingError: If the table cannot be written where it is to be, or there is nothing to go on with.
        """
        from cryptml_client.batch.settings import RunSettings

        found = RunSettings(self.csv, self.journal, self.resume, self.background, self.in_flight, choices)
        found.require_possible()
        if self.csv is not None:
            check_new_file(self.csv, "--csv", "CSV", force=self.force or self.resume)
        return found
