"""How long workers are busy, learned from what they did lately."""

from __future__ import annotations

LEARNING = 0.2
"""Weight of the latest request in a mean time."""

FIRST_GUESS_SECONDS = 5.0
"""For the mean, before anything was asked."""


class Durations:
    """Exponential means of seconds: of a worker with any request, and of each circuit's evaluations.

    Attributes:
        busy: That a worker is busy with one request.
    """

    def __init__(self) -> None:
        self.busy = FIRST_GUESS_SECONDS
        self._circuits: dict[str, float] = {}

    def was_busy(self, seconds: float) -> None:
        """Learn from a worker that was busy for so long."""
        self.busy += LEARNING * (seconds - self.busy)

    def evaluated(self, circuit: str, seconds: float) -> None:
        """Learn from an evaluation of a circuit, by its identity."""
        before = self._circuits.get(circuit, seconds)
        self._circuits[circuit] = before + LEARNING * (seconds - before)

    def of(self, circuit: str) -> float:
        """Return how long evaluations of a circuit took lately; a guess where none was made."""
        return self._circuits.get(circuit, self.busy)
