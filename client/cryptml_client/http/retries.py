"""Which failures are worth another attempt, and when."""

from __future__ import annotations

import re

import tenacity

from cryptml.errors import (
    ServiceRefused,
)


def was_put_off(error: BaseException) -> bool:
    """Return whether the service refused for now: it says when to come back, and only then."""
    return isinstance(error, ServiceRefused) and "retry-after" in error.headers


def pause_before_retry(state: tenacity.RetryCallState) -> float:
    """Return how long to wait before the next attempt: a little longer than the service asks for, or than the last time."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.headers.get("retry-after", "") if isinstance(error, ServiceRefused) else ""
    least = float(asked) if re.fullmatch("[0-9]{1,9}", asked) else 0.0
    growing: float = tenacity.wait_random_exponential(multiplier=0.5, max=15)(state)
    return least + (min(growing, 0.1 * least + 0.2) if least else growing)
