"""The three installations, each made from nothing: what it takes on disk, to install and to import.

python -m benchmarks.installations [--runs 11] [--only client server]
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (
    "Makefile",
    "constraints.txt",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "NOTICE",
    "make",
    "cryptml",
    "server",
    "client",
)
"""What an installation is made of."""

INSTALLATIONS = {"client": ".venv-client", "server": ".venv-server", "all": ".venv"}
"""Names and environments."""

IMPORT = "import cryptml_client"
CONCRETE = "import cryptml_client, cryptml.fhe.concrete"
"""The same, and Concrete, which a client loads with its first keys."""


def copy_sources(place: Path) -> Path:
    """Return a new folder with what a fresh checkout has, so that installing writes nothing here."""
    place.mkdir(parents=True)
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, place / name)
    return place


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without what names Python code outside of an installation, or CRYPTML's settings."""
    drop = ("PYTHON", "VIRTUAL_ENV", "VENV", "MAKE", "MFLAGS", "COVERAGE_", "CRYPTML_", "ARGS", "NEEDED_GB")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(drop)}
    return {**kept, **(more or {})}


def install(name: str, folder: Path) -> tuple[Path, float]:
    """Make an installation in a folder with the sources; return its environment and the seconds that it took.

    Raises:
        RuntimeError: With what was said, if it failed.
    """
    target = "install" if name == "all" else name
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    started = time.perf_counter()
    done = subprocess.run(
        ["make", target, f"PYTHON={python}"],
        cwd=folder,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"make {target} failed:\n{done.stderr}")
    return folder / INSTALLATIONS[name], time.perf_counter() - started


def disk_bytes(folder: Path) -> int:
    """Return what a folder takes on disk, as ``du`` counts: blocks, each file once."""
    seen = {(each.st_dev, each.st_ino): each.st_blocks * 512 for each in (path.lstat() for path in folder.rglob("*"))}
    return sum(seen.values())


def packages(environment: Path) -> dict[str, str]:
    """Return the versions of what is installed in an environment, by name."""
    program = (
        "from importlib.metadata import distributions\nfor each in distributions(): print(each.name, each.version)"
    )
    said = subprocess.run(
        [environment / "bin" / "python", "-c", program],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return dict(line.split() for line in said.splitlines())


def seconds(environment: Path, line: str) -> float:
    """Return how long a process takes that runs one line, from its start to its end."""
    started = time.perf_counter()
    subprocess.run([environment / "bin" / "python", "-c", line], env=clean_environment(), check=True)
    return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--only", nargs="+", choices=tuple(INSTALLATIONS), default=list(INSTALLATIONS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cryptml-installations-") as place:
        folder = copy_sources(Path(place) / "source")
        made = {name: install(name, folder) for name in options.only}
        found: dict[tuple[str, str], list[float]] = {(name, line): [] for name in made for line in (IMPORT, CONCRETE)}
        for _ in range(1 + options.runs):  # in turn, so that what else the machine does falls on all
            for name, line in found:
                found[name, line].append(seconds(made[name][0], line))
        sys.stdout.write(
            f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"{datetime.now(UTC).date().isoformat()}\n\n"
            "| installation | on disk | packages | installed in | import of `cryptml_client` | with Concrete |\n"
            "|---|---:|---:|---:|---:|---:|\n"
        )
        for name, (environment, took) in made.items():
            cells = [spread(found[name, line][1:]) for line in (IMPORT, CONCRETE)]  # the first reads the disk
            size, count = disk_bytes(environment) / 1e6, len(packages(environment))
            sys.stdout.write(f"| {name} | {size:,.0f} MB | {count} | {took:.0f} s | {' | '.join(cells)} |\n")


def spread(samples: list[float]) -> str:
    """Return the median of some seconds, and from where to where they go."""
    return f"{statistics.median(samples):.2f} s ({min(samples):.2f} to {max(samples):.2f})"


if __name__ == "__main__":
    main()
