"""One moment by which a request is over: whatever waits for the network in its thread, waits no longer."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


@contextmanager
def ending_at(deadline: float) -> Iterator[None]:
    """Bound what waits for the network in this context, in addition to what bounds it already.

    Args:
        deadline: Of `time.monotonic`, in seconds.
    """
    token = _deadline.set(min(deadline, _deadline.get()))
    try:
        yield
    finally:
        _deadline.reset(token)


def seconds_left() -> float:
    """Return how long the network may still be waited for: infinity where nothing bounds it, 0 or less where the time is over."""
    return _deadline.get() - time.monotonic()
