"""How many clinics ask how often, and how long they may wait."""

from __future__ import annotations

from dataclasses import dataclass

from cryptml.errors import SettingError

MOST_CLINICS = 1_000_000
MOST_PICTURES = 1_000_000
"""A clinic, a day."""


@dataclass(frozen=True)
class Demand:
    """What clinics ask for.

    Attributes:
        clinics: How many, each with keys of its own.
        pictures_a_day: Of each.
        p95_seconds: Within which 95 of 100 answers are to come, from the picture to the probability.
        hours: Of a day in which they ask.
        peak: How many times the mean of these hours the busiest hour has.

    Raises:
        SettingError: If a number is out of its bounds, with all that are.
    """

    clinics: int
    pictures_a_day: float
    p95_seconds: float
    hours: float = 8.0
    peak: float = 2.0

    def __post_init__(self) -> None:
        bounds = {
            "clinics": (1, MOST_CLINICS),
            "pictures_a_day": (0.01, MOST_PICTURES),
            "p95_seconds": (0.001, 86_400),
            "hours": (0.1, 24),
            "peak": (1, 100),
        }
        wrong = [
            f"`{name}` is {getattr(self, name):g}, which is not {low:g} to {high:g}"
            for name, (low, high) in bounds.items()
            if not low <= getattr(self, name) <= high
        ]
        if wrong:
            raise SettingError(f"{'; '.join(wrong)}; choose others")

    @property
    def pictures_a_second(self) -> float:
        """Of all clinics, in the busiest hour."""
        return self.clinics * self.pictures_a_day / (self.hours * 3600) * self.peak
