"""How much memory the processes hold that decode pictures, and this one."""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from cryptml.processes.memory import resident_bytes
from cryptml.reports.table import bytes_text

POLL_SECONDS = 0.01


class DecoderWatch:
    """Looks at the children of this process while it is entered; all of them decode pictures.

    Attributes:
        address_bytes: Most address space that one of them took.
        own_bytes: Most memory that this process held, beyond what it held at first.
    """

    def __init__(self) -> None:
        self.address_bytes = 0
        self.own_bytes = 0
        self._before = resident_bytes(os.getpid())
        self._held: dict[int, int] = {}
        self._peaks: dict[int, int] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> DecoderWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def look(self) -> set[int]:
        """Return the children that run now."""
        with self._lock:
            found = set(_children())
            for child in found:
                status = _status(child)
                self.address_bytes = max(self.address_bytes, status.get("VmPeak", 0))
                peak = status.get("VmHWM", 0)
                # A peak stays for as long as a process runs: it is of what is being read where it was less before.
                held = peak if peak > self._peaks.get(child, 0) else status.get("VmRSS", 0)
                self._peaks[child] = peak
                self._held[child] = max(self._held.get(child, 0), held)
            self.own_bytes = max(self.own_bytes, resident_bytes(os.getpid()) - self._before)
            return found

    def most_held(self) -> int:
        """Return the most memory in bytes that a child was seen to hold since this was asked; its own peak where that has risen."""
        with self._lock:
            most, self._held = max(self._held.values(), default=0), {}
            return most

    def texts(self) -> tuple[str, str]:
        """Return the memory of this process, and the most of a child, for people."""
        return bytes_text(self.own_bytes), bytes_text(self.most_held())

    def _watch(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            self.look()


def _children() -> list[int]:
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # the thread has ended
            found += map(int, (task / "children").read_text().split())
    return found


def _status(process: int) -> dict[str, int]:
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return {}
    return {
        name: int(size) * 1024 for name, size in re.findall(r"^(VmPeak|VmHWM|VmRSS):\s+(\d+) kB$", text, re.MULTILINE)
    }
