"""What ``cryptml build`` takes beside network, split and constraints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cryptml.fhe.settings import Rounding


@dataclass(frozen=True)
class BuildOptions:
    """Options whose names are those of attributes of `cryptml.building.BuildRequest`."""

    report: Annotated[
        Path | None,
        typer.Option(
            help="A profile of the network: its compiler settings are taken for each segment, and with --split auto its split."
        ),
    ] = None
    backend: Annotated[str, typer.Option(help="integer or concrete-ml.")] = "integer"
    architecture: Annotated[
        str | None, typer.Option(help="module:function of a network of your own, which concrete-ml imports and runs.")
    ] = None
    p_error: Annotated[
        float | None,
        typer.Option(help="Probability that one programmable bootstrap fails; 2^-40, or the report's, if not given."),
    ] = None
    rounding: Annotated[
        Rounding | None,
        typer.Option(
            help="Of what tables read: approximate, or exact, for answers equal to the clear ones at several times the work."
        ),
    ] = None
    share_keys: Annotated[
        bool, typer.Option("--share-keys", help="One key set for all server segments instead of one for each.")
    ] = False
    spot_checks: Annotated[
        int,
        typer.Option(
            min=0,
            max=256,
            help="Synthetic regions, with the intervals of their answers, that clients may ask about to see whether the service evaluates "
            "this network; each exposes an answer of it.",
        ),
    ] = 16
    measure: Annotated[
        bool,
        typer.Option(
            help="Measure what each circuit takes of a worker's memory, with keys of its own and two evaluations, for cryptml doctor."
        ),
    ] = True
