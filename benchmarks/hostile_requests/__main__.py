"""Sends thousands of hostile requests to a live service, and says what became of them and of the service.

python -m benchmarks.hostile_requests
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.hostile_requests.from_schema import from_the_document
from benchmarks.hostile_requests.inspection import expected_file, listing, open_files, watched_children
from benchmarks.hostile_requests.kinds import SEED, Maker, kinds
from benchmarks.hostile_requests.tally import Tally, table
from benchmarks.hostile_requests.target import SETTLE_SECONDS, WORKERS, Answer, Shot, Target
from benchmarks.machine import children, heading
from cryptml.errors import CryptmlError
from cryptml.processes.memory import resident_bytes
from cryptml.verification.local_service import LocalService

THREADS = 4
WARM_UP = 1000
MOST_GROWTH = 64 << 20


def attack(target: Target, running: LocalService, share: float, examples: int, out: Any) -> tuple[Tally, int]:
    """Send everything, and return the tally with the service's memory after the warm-up."""
    tally = Tally()
    warm = 0

    def fire(kind: str, maker: Maker, index: int) -> tuple[Shot, Answer]:
        shot = maker(random.Random(f"{SEED} {kind} {index}"), index)
        return shot, target.send(shot)

    with ThreadPoolExecutor(THREADS) as threads:
        for kind, (maker, number) in kinds(target).items():
            began = time.monotonic()
            lost = target.lost_workers()
            for shot, answer in threads.map(partial(fire, kind, maker), range(round(number * share))):
                tally.add(kind, shot, answer)
                if not warm and tally.total >= WARM_UP * min(1, share):
                    warm = resident_bytes(running.pid)
            tally.seconds[kind] = time.monotonic() - began
            out.write(f"{kind}: {tally.seconds[kind]:.1f} s, {target.lost_workers() - lost} workers lost\n")
            out.flush()
    kind, began = "made from the OpenAPI document (Schemathesis)", time.monotonic()
    from_the_document(target, tally, kind, examples)
    tally.seconds[kind] = time.monotonic() - began
    return tally, warm


def examine(target: Target, share: float, examples: int) -> int:
    """Attack a service, print what became of it, and return the exit status."""
    out = sys.stdout
    with ExitStack() as stack:
        running = target.service(stack)
        if not target.is_right():
            raise CryptmlError("the service does not answer rightly, before anything hostile was sent")
        outside, bundle = listing(target.work, target.data), listing(target.bundle.folder)
        before, began = resident_bytes(running.pid), time.monotonic()
        with watched_children(running.pid) as counts:
            tally, warm = attack(target, running, share, examples, sys.stderr)
        seconds = time.monotonic() - began
        right = target.is_right()
        deadline = time.monotonic() + SETTLE_SECONDS
        while len(children(running.pid)) > WORKERS and time.monotonic() < deadline:
            time.sleep(0.5)
        after = resident_bytes(running.pid)
        strangers = [name for name in open_files(running.pid) if not expected_file(name, target)]
        leftovers = [str(path) for path in target.data.rglob(".upload-*")]
        lost = target.lost_workers()
        same = Path(f"/proc/{running.pid}/cmdline").read_bytes().count(b"serve") > 0
        unchanged = outside == listing(target.work, target.data) and bundle == listing(target.bundle.folder)
    out.write("\n".join(table(tally)) + "\n\n")
    growth = after - warm
    verdicts = [
        (not tally.wrong, f"no 5xx but 503, nothing answered that must not be: {len(tally.wrong)} were"),
        (same and right, "the same process answers, and an honest tenant's encrypted evaluation is right"),
        (
            max(counts) <= WORKERS,
            f"{max(counts)} worker processes at most, of {WORKERS}; {lost} were lost and replaced",
        ),
        (
            growth <= MOST_GROWTH,
            f"memory of the service {before >> 20} MiB before, {warm >> 20} MiB after {WARM_UP} requests, {after >> 20} MiB at the end: "
            f"{growth / (1 << 20):+.0f} MiB, {MOST_GROWTH >> 20} allowed",
        ),
        (unchanged, "no file outside the data folder was made or changed, the bundle's neither"),
        (not strangers, f"open files are the service's own: {len(strangers)} are not"),
        (not leftovers, f"no upload was left behind: {len(leftovers)} were"),
    ]
    for holds, words in verdicts:
        out.write(f"- {'yes' if holds else 'NO'}: {words}\n")
    for each in [*tally.wrong[:40], *strangers, *leftovers]:
        out.write(f"  {each}\n")
    statuses = ", ".join(f"{status or 'none'} {count}" for status, count in sorted(tally.statuses.items(), key=str))
    out.write(f"\n{tally.total} requests in {seconds:.0f} s, seed {SEED}; by status: {statuses}\n")
    return 0 if all(holds for holds, _ in verdicts) else 1


def main() -> int:
    """Attack, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the requests of each kind")
    parser.add_argument(
        "--examples", type=int, default=25, help="that Schemathesis makes of each operation, right and wrong"
    )
    arguments = parser.parse_args()
    sys.stdout.write(f"{heading()}\n\n")
    with tempfile.TemporaryDirectory(prefix="cryptml-hostile-") as folder:
        return examine(Target(Path(folder)), arguments.share, arguments.examples)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CryptmlError as error:
        sys.exit(f"error: {error}")
