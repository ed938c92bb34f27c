"""What ``split-profiler run`` takes: the options of a `cryptml.profiler.request.ProfileRequest`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer


@dataclass(frozen=True)
class ProfileOptions:
    """Options whose names are those of the request's attributes."""

    repeats: Annotated[
        int, typer.Option(min=1, max=100, help="Samples of each stage but making keys, after a first one.")
    ] = 3
    segment_timeout: Annotated[float, typer.Option(help="Seconds for compiling, and for measuring, a segment.")] = 1800
    segment_memory_mb: Annotated[
        float | None, typer.Option(help="Of each measuring process; no limit if not given.")
    ] = None
    estimate_above: Annotated[
        float | None,
        typer.Option(
            help="Seconds; segments with a longer expected evaluation are estimated from one like them. Measure all if not given."
        ),
    ] = None
    max_failure: Annotated[
        float | None,
        typer.Option(
            help="Probability, at most, that a whole answer holds a wrong table entry, with any split; 2^-30 if not given. "
            "Where 2^-40 for one programmable bootstrap does not keep it, a smaller one is taken."
        ),
    ] = None
    p_error: Annotated[
        float | None,
        typer.Option(help="Probability that one programmable bootstrap fails, instead of the bound's."),
    ] = None
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="Of the server; all cores if not given.")] = None
    trials: Annotated[
        bool,
        typer.Option(
            "--trials/--no-trials",
            help="Try other compiler settings and divisions of threads, which takes as long again or twice that.",
        ),
    ] = True
    bandwidth_mbps: Annotated[float, typer.Option(help="Of the link that the report is composed for.")] = 100.0
    rtt_ms: Annotated[float, typer.Option(help="Its round-trip time.")] = 20.0
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT of a Ray cluster's head, or auto: its machines, which must be alike, measure a segment at a time each."
        ),
    ] = None
