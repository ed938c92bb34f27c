"""How long a worker on a cluster waits for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RayTimings:
    """Of a worker on a cluster, in seconds.

    Attributes:
        place: Within which a node must have an actor ready; a request is told to come back after it, and the actor goes on waiting.
        back: What a node gets beyond a request's deadline, which it keeps itself, to say so.
        close: What an idle actor gets to leave its machine tidy.
    """

    place: float = 30.0
    back: float = 5.0
    close: float = 3.0


USUAL_TIMINGS = RayTimings()
