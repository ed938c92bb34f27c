"""How a person accepts a provider's model: options of the commands that ask a service, and the question on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cryptml.cli.console import err, note
from cryptml.errors import counted
from cryptml.reports.table import facts_table

if TYPE_CHECKING:
    from cryptml_client.trust.pinning import Confirm

    from cryptml.bundle import ClientBundle

AcceptDigest = Annotated[
    str | None,
    typer.Option(
        "--accept-digest",
        help="The model's digest as the provider told it, 32 to 64 hexadecimal digits: accepts this model and no other.",
    ),
]
TrustFirstUse = Annotated[
    bool,
    typer.Option(
        "--trust-first-use",
        help="Accept a model at its first use without comparing its digest; one that changes later is still refused.",
    ),
]
SpotChecks = Annotated[
    float,
    typer.Option(
        "--spot-checks",
        min=0.0,
        max=0.9,
        help="Share of requests that are about regions with known answers, to see whether the service evaluates its own model.",
    ),
]


def spot_checks_words(passed: int) -> str:
    """Return what became of the spot checks of a command, for its user."""
    if not passed:
        return "no spot check was made: they are drawn at random, and few requests may draw none"
    return f"{counted(passed, 'spot check')} answered as the model's bundle says"


def person() -> Confirm | None:
    """Return what asks the person at the terminal about a model; None where there is none."""
    return _confirm if sys.stdin.isatty() and sys.stderr.isatty() else None


def _confirm(bundle: ClientBundle, known: str | None) -> bool:
    from cryptml_client.trust.pinning import describe_bundle

    from cryptml.bundle.manifest import grouped

    title = "A model that was not used before" if known is None else "The model has changed"
    digits = grouped(bundle.digest).split(" ")
    rows = describe_bundle(bundle)
    if known is not None:
        rows.append(("digest before", grouped(known)))
    err.print(facts_table(title, rows))
    half = len(digits) // 2
    err.print("Compare this digest with the one that the provider tells you by another channel:")
    err.print(f"\n    {' '.join(digits[:half])}\n    {' '.join(digits[half:])}\n", style="bold")
    accepted = typer.confirm("Is it the same?", default=False, err=True)
    if not accepted:
        note("nothing was sent but the request for the model")
    return accepted
