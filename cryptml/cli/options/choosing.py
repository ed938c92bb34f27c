"""By what a split is chosen, for ``choose`` and ``build``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cryptml.profiler.plan.choice import Constraints


@dataclass(frozen=True)
class ConstraintOptions:
    """Bounds on a split; those of `cryptml.profiler.plan.choice.Constraints`."""

    max_latency_ms: Annotated[float | None, typer.Option(help="Of one answer.")] = None
    max_client_memory_mb: Annotated[float | None, typer.Option(help="Peak of the client's process, 10^6 bytes.")] = None
    max_server_memory_mb: Annotated[float | None, typer.Option(help="Peak of the server's worker, 10^6 bytes.")] = None
    max_bytes: Annotated[float | None, typer.Option(help="Ciphertext up and down, one answer.")] = None
    keep_secret: Annotated[
        str | None,
        typer.Option(
            metavar="LAYERS",
            help="With commas: only these a client must not learn. Without it, none that has learned parameters, but for --expose.",
        ),
    ] = None
    expose: Annotated[
        str | None,
        typer.Option(metavar="LAYERS|all", help="With commas: these a client may learn. Nothing learned if not given."),
    ] = None
    queries: Annotated[int, typer.Option(min=1, help="What a client may ask before it has learned a layer.")] = (
        1_000_000
    )
    max_round_trips: Annotated[int | None, typer.Option(help="Encrypted exchanges of one answer.")] = None

    def constraints(self) -> Constraints:
        """Return them as the profiler takes them."""
        from cryptml.profiler.plan.choice import Constraints

        return Constraints(
            max_latency_ms=self.max_latency_ms,
            max_client_memory_mb=self.max_client_memory_mb,
            max_server_memory_mb=self.max_server_memory_mb,
            max_bytes=self.max_bytes,
            max_round_trips=self.max_round_trips,
            keep_secret=None if self.keep_secret is None else _names(self.keep_secret),
            expose=_names(self.expose or ""),
            queries=self.queries,
        )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
