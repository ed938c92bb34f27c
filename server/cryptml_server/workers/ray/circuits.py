"""Circuits in a cluster's memory."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from cryptml_server.workers.ray.node import Files


class ShippedCircuits:
    """Circuits in the cluster's memory, each put there once for all workers.

    Args:
        ray: The package, connected.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._lock = threading.Lock()
        self._found: dict[Path, Any] = {}

    def reference(self, folder: Path) -> Any:
        """Return the reference of a circuit's files, which `ServerBundle.load` has checked."""
        with self._lock:
            if folder not in self._found:
                files: Files = tuple((path.name, path.read_bytes()) for path in sorted(folder.iterdir()))
                self._found[folder] = self._ray.put(files)
            return self._found[folder]
