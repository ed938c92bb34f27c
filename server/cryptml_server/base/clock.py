"""The service's own time: the time of day when it started, and steady since, so that a stepped clock makes nothing old."""

from __future__ import annotations

import time

_BEGAN, _STEADY = time.time(), time.monotonic()


def now() -> float:
    """Return seconds since 1970, UTC, as this process has counted them since it started."""
    return _BEGAN + time.monotonic() - _STEADY
