"""How to profile, and who hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from cryptml.fhe.settings import CompilerSettings
from cryptml.listening import Bar, Listener, SilentListener
from cryptml.profiler.measure.measurement import (
    Limits,
)
from cryptml.profiler.plan.costs import Link


@dataclass(frozen=True)
class ProfileSettings:
    """How to profile.

    Attributes:
        compiler: Default settings of Concrete's compiler.
        max_failure: Bound on a whole answer's probability of failure that ``compiler.p_error`` keeps; None where that was given instead.
        trials: Whether other compiler settings and divisions of threads are tried: two to three times the run.
        limits: Of each segment.
        estimate_above_s: Segments whose evaluation is expected to take longer are estimated, once one near them was measured; None
            measures all.
        link: For the splits' figures in the report.
        ray_address: Of the cluster whose machines measure; None for this one alone.
    """

    compiler: CompilerSettings
    max_failure: float | None
    trials: bool
    limits: Limits
    estimate_above_s: float | None
    link: Link
    ray_address: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as a report holds it."""
        return {
            "p_error": self.compiler.p_error,
            "max_failure": self.max_failure,
            "trials": self.trials,
            "security_bits": 128,
            "repeats": self.limits.repeats,
            "threads": self.limits.threads,
            "segment_timeout_s": self.limits.timeout_seconds,
            "segment_memory_bytes": self.limits.memory_bytes,
            "estimate_above_s": self.estimate_above_s,
            "bandwidth_mbps": self.link.bandwidth_mbps,
            "rtt_ms": self.link.rtt_ms,
            **({} if self.ray_address is None else {"cluster": True}),
        }


class SegmentProgress(Protocol):
    """Told how far a run is."""

    def update(self, *, done: int, total: int, what: str, remaining_s: float | None) -> None:
        """Say that ``done`` of ``total`` segments are finished, what runs now, and the expected rest in seconds."""
        ...


class BarProgress:
    """Tells a bar of a listener.

    Args:
        bar: Of segments; it is told their number with the first.
    """

    def __init__(self, bar: Bar) -> None:
        self._bar = bar

    def update(self, *, done: int, total: int, what: str, remaining_s: float | None) -> None:
        """See `SegmentProgress.update`."""
        left = "" if remaining_s is None else f", about {remaining_s:.0f} s left"
        self._bar(done, total, f"{what}{left}")


@contextmanager
def told_to(listener: Listener | None) -> Iterator[SegmentProgress]:
    """Give what a run tells its progress, so that a listener hears of it; nobody does if None."""
    with (listener if listener is not None else SilentListener()).bar("segments", 1) as bar:
        yield BarProgress(bar)
