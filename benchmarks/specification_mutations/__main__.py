"""Numbers of real client specifications, alone and with those that belong to them, changed in the ways that a hostile service may think of.

    python -m benchmarks.specification_mutations

A change is *refused* by the client, or taken and then *harmless*: native code is given the changed specification, and the noise of a fresh
input and of every evaluation key is what the security curve asks for, read off under the client's own secret key. What is neither is
*undecided*, and the command fails. The specifications are those of shipped networks, recorded with --record into
tests/data/specifications.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter

from rich.console import Console
from rich.progress import track

from benchmarks.specification_mutations.changes import joint_changes, single_changes
from benchmarks.specification_mutations.specification import record, recorded
from benchmarks.specification_mutations.trial import Trial


def main() -> None:
    """Try every change, print the counts and fail where one is undecided."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--record", action="store_true", help="build the shipped networks and record their specifications anew"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of all changes that are tried, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.record:
        record()
        return
    console = Console(stderr=True)
    generator = random.Random(options.seed)
    trial = Trial()
    every = [
        (specification, change)
        for specification in recorded()
        for change in (*single_changes(specification.client_specs), *joint_changes(specification.client_specs))
        if generator.random() < options.share
    ]
    for specification, change in track(every, "changing numbers", console=console):
        trial.change(specification, change)
    sys.stdout.write(trial.table() + "\n")
    for each in trial.undecided:
        sys.stdout.write(f"undecided: {each}\n")
    names = Counter(specification.name for specification, _ in every)
    sys.stdout.write(f"{len(names)} specifications: {', '.join(names)}\n")
    sys.exit(1 if trial.undecided else 0)


if __name__ == "__main__":
    main()
