"""Which failures are worth another attempt, and when."""

from __future__ import annotations

import re
from collections.abc import Callable

import tenacity

from cryptml.errors import ServiceError, ServiceRefused


def retrying(
    helps: Callable[[BaseException], bool], seconds: float, waiting: Callable[[ServiceError], None] | None = None
) -> tenacity.Retrying:
    """Return what makes an attempt again.

    Args:
        helps: Whether another attempt may, after an error.
        seconds: In which the last attempt begins.
        waiting: Told what an attempt failed with, before each pause.
    """

    def told(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        if waiting is not None and isinstance(error, ServiceError):
            waiting(error)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(helps),
        stop=tenacity.stop_before_delay(seconds),
        wait=pause_before_retry,
        before_sleep=told,
        reraise=True,
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
