"""What commands cost before they do anything: seconds and peak memory of each, of two trees of the repository side by side.

``python -m benchmarks.command_costs`` measures the working tree; ``--before REVISION`` a commit beside it, in turn, with the packages of
this environment. Commands that ask a service ask one of the working tree, with keys that were made before; everything is on this machine.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from benchmarks.machine import heading
from cryptml.building import BuildRequest, build
from cryptml.cli.console import err, out
from cryptml.reports.table import plain_table
from cryptml.verification.local_service import local_service

ROOT = Path(__file__).resolve().parents[1]
PROFILE = "profiles/scatter/xeon-2-cores/profile.json"
ALONE: Mapping[str, Sequence[str]] = {
    "cryptml --help": ("cryptml", "--help"),
    "cryptml keys list": ("cryptml", "keys", "list"),
    "cryptml bundles list": ("cryptml", "bundles", "list"),
    "cryptml settings": ("cryptml", "settings"),
    "cryptml datasets": ("cryptml", "datasets", "list"),
    "cryptml evaluate tiny": ("cryptml", "evaluate", "tiny", "--dataset", "phantom", "--no-baseline"),
    "split-profiler --help": ("split_profiler", "--help"),
    "split-profiler list": ("split_profiler", "list", "tiny"),
    "split-profiler show": ("split_profiler", "show", PROFILE),
    "split-profiler choose": ("split_profiler", "choose", PROFILE, "--max-round-trips", "1"),
}
"""Commands that need no service: the program's module in `cryptml.cli`, and its arguments."""

PROGRAMS = {"cryptml": "cryptml.cli.main", "split_profiler": "cryptml.cli.split_profiler"}


@dataclass
class Costs:
    """Of one command in one tree.

    Attributes:
        seconds: Of each run, from start to end.
        cpu: Seconds of processor time of each run, of all its processes that ended with it.
        peak_bytes: Most memory that its first process held, of each run.
    """

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak_bytes: list[int] = field(default_factory=list)

    def text(self) -> str:
        """Return the medians."""
        return (
            f"{statistics.median(self.seconds):.2f} s  {statistics.median(self.cpu):.2f} s  "
            f"{statistics.median(self.peak_bytes) / 1e6:.0f} MB"
        )


def run(tree: Path, command: Sequence[str], home: Path, costs: Costs) -> None:
    """Run a command of a tree once, and note what it took.

    Raises:
        SystemExit: If it fails: its figures would say nothing.
    """
    program, *arguments = command
    script = f"import sys; sys.argv[0] = {program.replace('_', '-')!r}; from {PROGRAMS[program]} import run; run()"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CRYPTML_", "PYTHON"))}
    environment |= {
        "PYTHONPATH": os.pathsep.join(str(tree / each) for each in (".", "server", "client")),
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "resources_used.py"), sys.executable, "-c", script, *arguments],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    used = json.loads(done.stdout)
    if used["code"]:
        sys.exit(f"{' '.join(command)} ended with {used['code']}:\n{done.stderr[-2000:]}")
    costs.seconds.append(used["seconds"])
    costs.cpu.append(used["cpu"])
    costs.peak_bytes.append(used["peak_bytes"])


@contextmanager
def trees(before: str | None) -> Iterator[dict[str, Path]]:
    """Give the trees to measure, by what they are called."""
    if before is None:
        yield {"working tree": ROOT}
        return
    archive = subprocess.run(["git", "archive", before], cwd=ROOT, capture_output=True, check=True).stdout
    with TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
        yield {before: Path(folder), "working tree": ROOT}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--before", metavar="REVISION", help="a commit to measure beside the working tree")
    parser.add_argument("--runs", type=int, default=5, help="of each command in each tree, after a first one")
    arguments = parser.parse_args()
    with trees(arguments.before) as of, TemporaryDirectory() as work:
        place = Path(work)
        home, picture = place / "home", place / "picture.png"
        home.mkdir()
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(picture)
        build(BuildRequest("tiny", measure=False), place / "bundle")
        with local_service([place / "bundle"], place / "service") as service:
            ask = ("cryptml", "predict", str(picture), "--server", service.url, "--trust-first-use")
            commands = {**ALONE, "cryptml predict, keys made": ask}
            found = {(name, tree): Costs() for name in commands for tree in of}
            for turn in range(arguments.runs + 1):
                for name, command in commands.items():
                    for called, tree in of.items():
                        err.print(f"{turn} of {arguments.runs}: {name}, {called}", markup=False)
                        run(tree, command, home, Costs() if turn == 0 else found[name, called])
    rows = [(name, *(found[name, each].text() for each in of)) for name in commands]
    heads = [("command", "left"), *((f"{each}: time, processor, memory", "left") for each in of)]
    out.print(plain_table(f"Commands, medians of {arguments.runs}; {heading()}", heads, rows))


if __name__ == "__main__":
    main()
