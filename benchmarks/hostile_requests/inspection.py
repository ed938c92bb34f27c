"""What a service has on the machine: child processes, files, open files."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.hostile_requests.target import Target
from benchmarks.machine import children


@contextmanager
def watched_children(pid: int) -> Iterator[list[int]]:
    """Count the child processes several times a second, for as long as the block takes."""
    found, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            found.append(len(children(pid)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def listing(folder: Path, without: Path | None = None) -> dict[str, tuple[int, int, str]]:
    """Return size, time of change and digest of every file, but those below one folder."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (without is None or without not in path.parents)
    }


def open_files(pid: int) -> list[str]:
    """Return what a process has open."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found.append(str(link.readlink()))
    return found


def expected_file(name: str, target: Target) -> bool:
    """Whether a service may have it open: its data, its bundle, libraries, sockets, pipes, devices."""
    if not name.startswith("/"):
        return name.startswith(("socket:", "pipe:", "anon_inode:"))
    roots = (target.data, target.bundle.folder, Path(sys.prefix), Path(sys.base_prefix), Path("/dev"), Path("/usr/lib"))
    return any(root == Path(name) or root in Path(name).parents for root in roots)
