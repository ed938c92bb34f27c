"""How much memory the processes hold that decode pictures, and this one."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import TracebackType

from cryptml.errors import MeasurementError
from cryptml.images.decoder import MODULE
from cryptml.processes.memory import peak_resident_bytes, resident_bytes
from cryptml.reports.table import bytes_text

POLL_SECONDS = 0.02


class DecoderWatch:
    """Watches while it is entered; the greatest memory of a decoder, and of this process beyond what it held at first."""

    def __init__(self) -> None:
        self.decoder_bytes = 0
        self.own_bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> DecoderWatch:
        self._before = resident_bytes(os.getpid())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def texts(self) -> tuple[str, str]:
        """Both for people."""
        return bytes_text(self.own_bytes), bytes_text(self.decoder_bytes)

    def _watch(self) -> None:
        while not self._over.is_set():
            self.own_bytes = max(self.own_bytes, resident_bytes(os.getpid()) - self._before)
            for process in decoders():
                self.decoder_bytes = max(self.decoder_bytes, _peak(process))
            time.sleep(POLL_SECONDS)


def decoders() -> list[int]:
    """Return the numbers of this process's children that decode pictures."""
    return [child for task in Path("/proc/self/task").iterdir() for child in _children(task) if _decodes(child)]


def _children(task: Path) -> list[int]:
    try:
        return [int(each) for each in (task / "children").read_text().split()]
    except OSError:  # the thread ended meanwhile
        return []


def _decodes(process: int) -> bool:
    try:
        return MODULE.encode() in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


def _peak(process: int) -> int:
    try:
        return peak_resident_bytes(process)
    except MeasurementError:  # it ended meanwhile
        return 0
