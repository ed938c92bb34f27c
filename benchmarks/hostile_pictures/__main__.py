"""Pictures that are damaged in thousands of ways, read by `cryptml.images.load_image` one after another.

    python -m benchmarks.hostile_pictures [--count 5000] [--seed 1]

Whatever a file holds, it gives a picture, or one `ImageError` of one printable line; the process that asks does not crash, hang or grow,
and those that decode stay within their limit of memory and are replaced where they die. Whatever else comes fails the command.
The damage follows from the seed, but names that encoders give their files do not: a file that does what none may is kept.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from benchmarks.hostile_pictures.damage import hostile
from benchmarks.hostile_pictures.seeds import seeds
from benchmarks.hostile_pictures.trial import Trial
from cryptml.errors import MeasurementError
from cryptml.images.limits import ADDRESS_BYTES


def main() -> None:
    """Read the files, print what came of them and fail where that may not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hostile-pictures-"))
    trial = Trial(folder)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("hostile pictures", total=options.count)
        files = hostile(seeds(), random.Random(options.seed), options.count)
        try:
            trial.run(files, options.seed, lambda: progress.advance(task))
        except MeasurementError as error:
            sys.exit(str(error))
    output = Console(width=120)
    output.print(trial.table())
    output.print(
        f"this process grew by {trial.growth / 1e6:.0f} MB; decoders had {trial.address_bytes / 2**30:.2f} GiB of addresses at most, of "
        f"{ADDRESS_BYTES / 2**30:.0f} allowed; {len(trial.refusals)} kinds of refusal"
    )
    for each in trial.wrong:
        output.print(f"wrong: {each} (kept in {folder})", markup=False, highlight=False)
    sys.exit(1 if trial.wrong else 0)


if __name__ == "__main__":
    main()
