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

    max_latency_ms: Annotated[float | None, typer.Option(help="Latency of one answer, at most.")] = None
    max_client_memory_mb: Annotated[
        float | None, typer.Option(help="Peak memory of the client's process, at most, in 10^6 bytes.")
    ] = None
    max_server_memory_mb: Annotated[
        float | None, typer.Option(help="Peak memory of the server's worker, at most, in 10^6 bytes.")
    ] = None
    max_bytes: Annotated[float | None, typer.Option(help="Ciphertext sent and received for one answer, at most.")] = (
        None
    )
    keep_secret: Annotated[
        str | None,
        typer.Option(
            metavar="LAYERS",
            help="Layers that a client must not learn, with commas between. Default: all with learned parameters but those of --expose.",
        ),
    ] = None
    expose: Annotated[
        str | None,
        typer.Option(
            metavar="LAYERS|all",
            help="Layers that a client may learn, with commas between. Default: none with learned parameters.",
        ),
    ] = None
    queries: Annotated[int, typer.Option(min=1, help="What a client may ask before it has learned a layer.")] = (
        1_000_000
    )
    allow_recovery: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="QUERIES",
            help="Accept that clients who ask so often or oftener learn a layer, as of a network of one table. Default: not below "
            "--queries.",
        ),
    ] = None
    max_round_trips: Annotated[int | None, typer.Option(help="Encrypted exchanges of one answer, at most.")] = None

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
            allow_recovery=self.allow_recovery,
        )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
