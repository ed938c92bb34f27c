"""Plays a hostile service, seeded, against the real client, and prints a table of what became of the client.

    python -m benchmarks.hostile_service --answers 10000

Everything is recorded from real services of the network `tiny` first, so an honest answer between hostile ones is a right one. The
exit status is 1 where a verdict does not hold.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from cryptml_client import KeyStore
from rich.console import Console
from rich.progress import Progress

from benchmarks.hostile_service.campaign import Campaign
from benchmarks.hostile_service.plays import SPLITS, record
from benchmarks.hostile_service.report import table, verdicts
from benchmarks.hostile_service.result import documents_json
from benchmarks.machine import heading

SEED = 20261128


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
    out.write(f"{heading()}\n\n")
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
