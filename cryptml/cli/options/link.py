"""The link between client and server that a report is read for."""

from __future__ import annotations

from typing import Annotated

import typer

Bandwidth = Annotated[
    float | None, typer.Option("--bandwidth-mbps", help="Megabits a second; the report's own if not given.")
]
RoundTrip = Annotated[float | None, typer.Option("--rtt-ms", help="Round-trip time; the report's own if not given.")]
