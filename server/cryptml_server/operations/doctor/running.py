"""Whether a service that runs serves what is on disk."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from cryptml_server.base.served_bundles import Served, read_served
from cryptml_server.keys.files import LOCK
from cryptml_server.operations.doctor.deployment import Deployment, Finding

NAME = "running service"
SHOWN = 16
"""Digits of a digest that are enough to tell two apart."""


def check_running(deployment: Deployment) -> Iterator[Finding]:
    """Whether the service that runs with this data folder serves the bundles that are in their folders now."""
    data = deployment.settings.data
    served = read_served(data)
    if served is None or not _is_held(data / f"evaluation-keys{LOCK}"):
        yield Finding(NAME, "ok", "none runs with this data folder")
        return
    by_folder = {each.folder: each for each in served}
    for folder, found in deployment.bundles:
        running = by_folder.pop(folder.absolute(), None)
        yield _compared(folder, running, found if isinstance(found, str) else found.digest)
    for left in by_folder.values():
        yield Finding(NAME, "ok", f"it also serves {left.model}, of {left.folder}")


def _compared(folder: Path, running: Served | None, digest: str) -> Finding:
    if running is None:
        return Finding(NAME, "warning", f"it does not serve {folder}", "restart it with that folder, if it is to")
    if running.digest == digest:
        return Finding(NAME, "ok", f"it serves {running.model} as it is in {folder}")
    return Finding(
        NAME,
        "warning",
        f"it serves {running.model} with digest {running.digest[:SHOWN]}, and {folder} holds another now ({digest[:SHOWN]})",
        "restart it, and tell clinics the new digest",
    )


def _is_held(lock: Path) -> bool:
    """Whether a service holds its data folder; the lock is had for no longer than it takes to see that."""
    try:
        opened = os.open(lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(opened)
    return False
