"""Many tenants with many jobs at once: what the service and its workers take of the machine's memory, and whether all are answered.

python -m benchmarks.crowd
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from benchmarks.deployment import Deployment, Tenant
from benchmarks.machine import children, heading
from cryptml.errors import CryptmlError

WORKERS = 2
WORKER_BYTES = 1 << 30
CACHED_KEYS = 4
SAMPLE_SECONDS = 0.1


class TreeMemory:
    """The most that a process and all below it had in memory, each shared page counted once (PSS)."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.service_bytes = 0
        self.tree_bytes = 0

    def __enter__(self) -> TreeMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            sizes = [_pss(pid) for pid in (self._pid, *children(self._pid))]
            self.service_bytes = max(self.service_bytes, sizes[0])
            self.tree_bytes = max(self.tree_bytes, sum(sizes))


def _pss(pid: int) -> int:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)
    return 0


def measure(deployment: Deployment, tenants: int, jobs: int) -> list[str]:
    """Return the row of so many tenants with so many jobs, all asked for at once."""
    variables = {
        "CRYPTML_WORKER_BYTES": str(WORKER_BYTES),
        "CRYPTML_CACHED_KEYS": str(CACHED_KEYS),
        "CRYPTML_STORED_KEY_BYTES": str(64 << 30),
    }
    with ExitStack() as stack:
        running, found = deployment.service(stack, WORKERS, 1, tenants, variables)
        memory = stack.enter_context(TreeMemory(running.pid))
        started = time.monotonic()
        asked = [(found[number % tenants], _submit(found[number % tenants])) for number in range(jobs)]
        right = sum(_is_right(tenant, place) for tenant, place in asked)
        seconds = time.monotonic() - started
    if right != jobs:
        raise CryptmlError(f"{jobs - right} of {jobs} jobs were not answered, or not rightly")
    return [
        str(tenants),
        str(jobs),
        str(right),
        f"{seconds:.0f} s",
        f"{memory.service_bytes >> 20} MB",
        f"{memory.tree_bytes >> 20} MB",
    ]


def _submit(tenant: Tenant) -> str:
    answer = tenant.http.post(
        tenant.path, content=tenant.ciphertext, headers={**tenant.headers, "Prefer": "respond-async"}
    )
    answer.raise_for_status()
    return str(answer.headers["Location"])


def _is_right(tenant: Tenant, place: str) -> bool:
    while tenant.http.get(place, headers={"Prefer": "wait=30"}).raise_for_status().json()["state"] not in (
        "done",
        "failed",
    ):
        pass
    answer = tenant.http.get(f"{place}/result")
    tenant.http.delete(place).raise_for_status()
    return answer.status_code == 200 and tenant.is_right(answer.content)


def main() -> int:
    """Measure a few and many, and print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=200)
    arguments = parser.parse_args()
    out = sys.stdout
    out.write(f"{heading()}\n\n")
    out.write(
        f"scatter SSS, {WORKERS} workers of one thread, {WORKER_BYTES >> 20} MB each (`worker_bytes`), "
        f"{CACHED_KEYS} keys in memory each\n\n"
    )
    out.write("| tenants | jobs | right | all within | service, most | all processes, most |\n")
    out.write("|---:|---:|---:|---:|---:|---:|\n")
    with tempfile.TemporaryDirectory(prefix="cryptml-bench-") as folder:
        work = Path(folder) / "scatter"
        work.mkdir()
        deployment = Deployment("scatter", "SSS", work)
        for tenants, jobs in (
            (max(1, arguments.tenants // 10), arguments.jobs // 10),
            (arguments.tenants, arguments.jobs),
        ):
            out.write(f"| {' | '.join(measure(deployment, tenants, jobs))} |\n")
            out.flush()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CryptmlError as error:
        sys.exit(f"error: {error}")
