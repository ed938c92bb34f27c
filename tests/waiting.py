"""What tests wait for: conditions, services that are ready, processes that end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx

T = TypeVar("T")

PATIENCE_SECONDS = 180.0
"""For what takes seconds on an idle machine."""


def wait_for(found: Callable[[], T | None], what: str, *, seconds: float = PATIENCE_SECONDS) -> T:
    """Return the first thing found that is true.

    Raises:
        AssertionError: If none is within so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.05)
    return value


def wait_until_ready(http: httpx.Client, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a service says that it is ready."""
    wait_for(lambda: http.get("/v1/health/ready").is_success, "the service to be ready", seconds=seconds)


def has_ended(pid: int) -> bool:
    """Whether a process has ended; one that nobody has asked about yet has ended too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_for_end(pid: int, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a process has ended."""
    wait_for(lambda: has_ended(pid), f"process {pid} to end", seconds=seconds)
