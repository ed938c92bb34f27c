"""Plays a hostile service, seeded, against the real client, and prints a table of what became of the client.

    python -m benchmarks.hostile_service --answers 10000

Everything is recorded from real services of the network `tiny` first, so an honest answer between hostile ones is a right one. The
exit status is 1 where a verdict does not hold.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

from cryptml_client import KeyStore
from rich.console import Console
from rich.progress import Progress

from benchmarks.hostile_service.campaign import Campaign
from benchmarks.hostile_service.limits import (
    MARGIN_BYTES,
    MARGIN_SECONDS,
    MOST_REQUESTS,
    MOST_TEXT,
    PATIENCE_SECONDS,
    TIMEOUT_SECONDS,
)
from benchmarks.hostile_service.plays import SPLITS, record
from benchmarks.hostile_service.result import Result, Row, documents_json
from cryptml.profiler.measure.machine import describe_machine

SEED = 20261128
COLUMNS = (
    "answers",
    "refused with a sentence",
    "answered rightly",
    "answered otherwise",
    "crashes",
    "hangs",
    "slowest s",
    "peak MB",
)


def table(result: Result) -> list[str]:
    """Return the lines of the table."""
    lines = [f"| kind of attack | {' | '.join(COLUMNS)} |", f"|---|{'---:|' * len(COLUMNS)}"]
    rows = sorted(result.rows.items())
    every = [row for _, row in rows]
    total = Row(slowest=max(row.slowest for row in every), peak=max(row.peak for row in every))
    for name in ("answers", "refused", "right", "other", "crashes", "hangs"):
        setattr(total, name, sum(getattr(row, name) for row in every))
    for kind, row in [*rows, ("all", total)]:
        counts = (row.answers, row.refused, row.right, row.other, row.crashes, row.hangs)
        lines.append(f"| {kind} | {' | '.join(map(str, counts))} | {row.slowest:.1f} | {row.peak / 1e6:.0f} |")
    return lines


def verdicts(result: Result) -> list[tuple[bool, str]]:
    """Return what is claimed of the client, and whether it holds."""
    crashes, hangs = (sum(getattr(row, name) for row in result.rows.values()) for name in ("crashes", "hangs"))
    faults = Counter(fault.what.split(":")[0][:40] for fault in result.faults)
    noise = result.noise
    peak = max(row.peak for row in result.rows.values())
    return [
        (not crashes, f"no exception but the client's own errors, no abort, nothing printed: {crashes} were"),
        (
            not hangs,
            f"nobody held for longer than {TIMEOUT_SECONDS:g} s and a patience of {PATIENCE_SECONDS:g} s a request and "
            f"{MARGIN_SECONDS:g} s a run (waiting for a core of this machine, and making keys, left out), or made to ask more than "
            f"{MOST_REQUESTS} times: {hangs} were",
        ),
        (
            peak <= result.honest_peak + MARGIN_BYTES,
            f"memory of a client {result.honest_peak / 1e6:.0f} MB at most with honest services, {peak / 1e6:.0f} MB with hostile ones; "
            f"{MARGIN_BYTES / 1e6:.0f} MB more are allowed",
        ),
        (not result.elsewhere, f"no redirect was followed: {result.elsewhere} were"),
        (
            noise is not None and noise.is_right,
            f"{result.ciphertexts} ciphertexts were looked at; where masks can be seen, their noise is that of the security curve: "
            + (
                f"{noise.ratio:.3f} of its deviation, by {noise.samples} samples"
                if noise
                else "too few samples were seen"
            ),
        ),
        (
            not result.faults,
            f"every error is one printable sentence of at most {MOST_TEXT} characters; in {result.bytes / 1e6:.0f} MB that were sent none "
            f"of {result.patterns} images of picture, activations and secret keys; all of it is accounted for; the same requests whatever "
            f"is decrypted: {sum(faults.values())} faults of all kinds",
        ),
    ]


def main() -> int:
    """Attack, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--processes", type=int, default=6, help="clients at once")
    parser.add_argument("--only", help="kinds whose names hold this")
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=[*SPLITS])
    parser.add_argument("--faults", type=Path, help="where to write what must not be, as JSON")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    machine = describe_machine()
    today = datetime.now(timezone.utc).date().isoformat()
    out = sys.stdout
    with (
        tempfile.TemporaryDirectory(prefix="cryptml-hostile-service-") as folder,
        Progress(console=Console(stderr=True)) as bar,
    ):
        work = Path(folder)
        plays = record(work, KeyStore(work / "keys"), {split: SPLITS[split] for split in options.splits})
        campaign = Campaign(plays, work / "keys", work, processes=options.processes, seed=options.seed)
        task = bar.add_task("hostile answers", total=options.answers)
        began = time.monotonic()

        def told(number: int) -> None:
            bar.update(task, completed=number)
            if number % 500 == 0:
                sys.stderr.write(f"{number} answers in {time.monotonic() - began:.0f} s\n")

        result = campaign.run(options.answers, told, options.only)
        seconds = time.monotonic() - began
    out.write(f"{machine['cpu']}, {machine['cores']} cores, {platform.system()}, {today}\n\n")
    out.write("\n".join(table(result)) + "\n\n")
    claims = verdicts(result)
    for holds, words in claims:
        out.write(f"- {'yes' if holds else 'NO'}: {words}\n")
    shown: Counter[str] = Counter()
    for fault in result.faults:
        shown[fault.what[:60]] += 1
        if shown[fault.what[:60]] <= 2:
            out.write(f"  {fault.run[:160]!r}: {fault.what}\n")
    if options.faults is not None:
        options.faults.write_text(documents_json(result))
    errors = ", ".join(f"{name} {count}" for name, count in sorted(result.errors.items()))
    out.write(f"\n{result.answers} answers in {seconds:.0f} s, seed {options.seed}; errors: {errors}\n")
    return 0 if all(holds for holds, _ in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
