"""Resident memory of a process, as Linux counts it.

``ru_maxrss`` is no peak of a child: it survives ``exec`` and so begins at what the parent held. ``VmHWM`` belongs to the new
program alone.
"""

from __future__ import annotations

import re
from pathlib import Path

from cryptml.errors import MeasurementError


def resident_bytes(process: int | str = "self") -> int:
    """Return what a process holds in memory now.

    Raises:
        MeasurementError: If the process is gone or the system does not say.
    """
    return _field(process, "VmRSS")


def peak_resident_bytes(process: int | str = "self") -> int:
    """Return the most that a process has held in memory since its program began, or since it called `reset_peak`.

    Raises:
        MeasurementError: If the process is gone or the system does not say.
    """
    return _field(process, "VmHWM")


def reset_peak() -> bool:
    """Let this process's peak begin anew at what it holds now, and return whether the system can (proc(5), clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def available_bytes() -> int:
    """Return what processes can still take on this machine, limits of a container aside.

    Raises:
        MeasurementError: If the system does not say.
    """
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found is None:
        raise MeasurementError("the system does not say how much memory is available; Linux's /proc/meminfo does")
    return int(found[1]) * 1024


def _field(process: int | str, name: str) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError as error:
        raise MeasurementError(f"the memory of process {process} cannot be read ({error.strerror})") from error
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise MeasurementError(f"the system does not say {name} of process {process}; Linux's /proc does")
    return int(found[1]) * 1024
