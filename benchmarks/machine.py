"""The machine that figures are of, and child processes on it."""

from __future__ import annotations

import platform
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptml.profiler.measure.machine import describe_machine


def heading() -> str:
    """Return processor, cores, system and date in one line."""
    machine = describe_machine()
    today = datetime.now(UTC).date().isoformat()
    return f"{machine['cpu']}, {machine['cores']} cores, {platform.system()}, {today}"


def children(pid: int) -> list[int]:
    """Return the ids of a process's children; none where it has ended."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread ended
            found += map(int, path.read_text().split())
    return found
