"""What faults do to a service: killed workers, a killed service, a database that is locked or gone, a full disk, a stepped clock,
connections that hang. Jobs are accepted all the while; in the end every one is counted, fetched and compared.

python -m benchmarks.faults [--quick]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.faults.killing import kill_services, kill_workers
from benchmarks.faults.surroundings import (
    CONNECTIONS,
    FAKETIME,
    fill_disk,
    hang_connections,
    lock_database,
    lose_database,
    small_disk,
    step_clock,
)
from benchmarks.faults.trial import TENANTS, Clinic, Trial
from benchmarks.machine import heading
from benchmarks.postgresql import PostgreSQL, find_programs
from cryptml.errors import CryptmlError

Act = Callable[[Trial, int], None]
Make = Callable[[], Trial | None]


class Faults:
    """All faults, each with what makes a trial for it; trials lie in one folder.

    Args:
        work: An empty folder.
        stack: For what has to be ended.
    """

    def __init__(self, work: Path, stack: ExitStack) -> None:
        self._work = work
        self._stack = stack
        self._clinic = Clinic(work)

    def every(self) -> Iterator[tuple[str, int, Act, Make]]:
        """Yield name and times of each, what does it, and what makes its trial: none where this machine does not allow it."""
        yield "worker killed in an evaluation", 100, kill_workers, self._plain
        yield "service killed with jobs and an upload", 20, kill_services, self._plain
        yield "database locked for 10 s", 3, lock_database, self._plain
        programs = find_programs()
        if programs is not None:
            server = PostgreSQL(programs)
            self._stack.callback(server.stop)
            yield "PostgreSQL gone for 10 s", 3, lose_database(server), lambda: self._on(server.database())
        megabytes = 200 + 2 * TENANTS * (len(self._clinic.keys.evaluation_keys) >> 20)
        disk = self._stack.enter_context(small_disk(self._work, megabytes))
        make: Make = lambda: None if disk is None else Trial(self._clinic, disk)  # noqa: E731
        yield "disk full while a key is written", 10, fill_disk, make
        yield "clock stepped by a day, four times", 3, step_clock, self._shifted
        few_seconds: Make = lambda: self._plain(CRYPTML_HEAD_SECONDS="3")  # noqa: E731
        yield f"{CONNECTIONS} connections that hang", 3, hang_connections, few_seconds

    def _plain(self, **variables: str) -> Trial:
        return Trial(self._clinic, Path(tempfile.mkdtemp(dir=self._work)), variables=variables)

    def _on(self, database: str) -> Trial:
        return Trial(self._clinic, Path(tempfile.mkdtemp(dir=self._work)), database)

    def _shifted(self) -> Trial | None:
        if not FAKETIME:
            return None
        file = self._work / "clock"
        file.write_text("+0")
        return self._plain(
            LD_PRELOAD=str(FAKETIME[0]),
            FAKETIME_TIMESTAMP_FILE=str(file),
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        )


def main() -> int:
    """Try all faults and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the times")
    parser.add_argument("--only", help="one fault, by a part of its name")
    arguments = parser.parse_args()
    out, bad = sys.stdout, False
    out.write(f"{heading()}\n\n")
    out.write("| fault | times | jobs accepted | refused | lost | twice | wrong | orphans | files left |\n")
    out.write("|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
    with tempfile.TemporaryDirectory(prefix="cryptml-faults-") as folder, ExitStack() as stack:
        for name, most, act, make in Faults(Path(folder), stack).every():
            if arguments.only and arguments.only not in name:
                continue
            trial = make()
            if trial is None:
                out.write(f"| {name} | not tried: this machine does not allow it | | | | | | | |\n")
                continue
            times = max(1, most // 10) if arguments.quick else most
            act(trial, times)
            bad = bad or trial.tally.bad
            out.write(trial.tally.row(name, times) + "\n")
            out.flush()
    return int(bad)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CryptmlError as error:
        sys.exit(f"error: {error}")
