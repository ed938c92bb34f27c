"""Sends thousands of hostile requests to a live service, and says what became of them and of the service.

PYTHONPATH=. python benchmarks/hostile.py
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode

from benchmarks.hostile_requests import Arsenal, Maker
from benchmarks.hostile_target import CANARY, PATIENCE_SECONDS, SETTLE_SECONDS, WORKERS, Answer, Shot, Target
from cryptml.cli.service.local_service import LocalService
from cryptml.errors import CryptmlError
from cryptml.processes.memory import resident_bytes
from cryptml.profiler.measure.machine import describe_machine

SEED = 20240607
THREADS = 4
WARM_UP = 1000
MOST_GROWTH = 64 << 20
CLASSES = ("2xx", "3xx", "4xx", "503", "other 5xx", "closed", "left")


@dataclass
class Tally:
    """All answers.

    Attributes:
        counts: By kind of request and class of answer.
        wrong: What should not have been answered so.
        seconds: That each kind took.
    """

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    statuses: Counter[int | None] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Requests so far."""
        return sum(sum(found.values()) for found in self.counts.values())

    def add(self, kind: str, shot: Shot, answer: Answer) -> None:
        """Count an answer."""
        self.counts.setdefault(kind, Counter())[answer.kind] += 1
        self.statuses[answer.status] += 1
        said = f"{kind}: {answer.status} for {shot.data[:120]!r}"
        if answer.kind == "other 5xx":
            self.wrong.append(f"{said}: {answer.raw[-300:]!r}")
        if shot.forbidden and answer.kind in ("2xx", "3xx"):
            self.wrong.append(said)
        if shot.secret in answer.raw or CANARY in answer.raw or b"root:x:" in answer.raw:
            self.wrong.append(f"{said}: the answer holds what it must not")


def from_the_document(target: Target, tally: Tally, kind: str, examples: int) -> None:
    """Send what Schemathesis makes of the service's own OpenAPI document, right and wrong."""
    document = schemathesis.openapi.from_url(f"{target.url}/openapi.json")
    for found in document.get_all_operations():
        operation = found.ok()
        if operation is None:
            raise CryptmlError("Schemathesis cannot read the document")
        for mode in GenerationMode:
            if mode is GenerationMode.NEGATIVE and not list(operation.iter_parameters()) and not operation.body:
                continue

            @seed(SEED)
            @settings(
                max_examples=examples,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Case) -> None:
                path = case.path_parameters or {}
                if "model" in path and len(str(path["model"])) % 2:
                    case.path_parameters["model"] = "tiny"
                case.headers = {**(case.headers or {}), "Authorization": f"Bearer {target.intruders[0]}"}
                answer = case.call(base_url=target.url, timeout=PATIENCE_SECONDS)
                shot = Shot(f"{case.method} {case.formatted_path}".encode("utf-8", "surrogateescape"))
                tally.add(kind, shot, Answer(answer.status_code, False, answer.content))

            ask()


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


def children(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread ended
            found += map(int, path.read_text().split())
    return found


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


def attack(target: Target, running: LocalService, share: float, examples: int, out: Any) -> tuple[Tally, int]:
    """Send everything, and return the tally with the service's memory after the warm-up."""
    tally, arsenal = Tally(), Arsenal(target)
    warm = 0

    def fire(kind: str, maker: Maker, index: int) -> tuple[Shot, Answer]:
        shot = maker(random.Random(f"{SEED} {kind} {index}"), index)
        return shot, target.send(shot)

    with ThreadPoolExecutor(THREADS) as threads:
        for kind, (maker, number) in arsenal.kinds().items():
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


def table(tally: Tally) -> list[str]:
    """Return the lines of the table."""
    rows = [f"| kind | requests | {' | '.join(CLASSES)} |", f"|---|{'---:|' * (1 + len(CLASSES))}"]
    for kind, found in tally.counts.items():
        cells = [str(sum(found.values())), *(str(found[name]) for name in CLASSES)]
        rows.append(f"| {kind} | {' | '.join(cells)} |")
    sums = [sum(found[name] for found in tally.counts.values()) for name in CLASSES]
    rows.append(f"| all | {tally.total} | {' | '.join(map(str, sums))} |")
    return rows


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
    machine = describe_machine()
    today = datetime.now(timezone.utc).date().isoformat()
    sys.stdout.write(f"{machine['cpu']}, {machine['cores']} cores, {platform.system()}, {today}\n\n")
    with tempfile.TemporaryDirectory(prefix="cryptml-hostile-") as folder:
        return examine(Target(Path(folder)), arguments.share, arguments.examples)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CryptmlError as error:
        sys.exit(f"error: {error}")
