"""What a process takes before it has loaded anything: Concrete as this package imports it, beside Concrete as it comes, in turn.

python -m benchmarks.concrete_import [--pairs 10]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from datetime import UTC, datetime

PROGRAM = """
import resource, time
started = time.perf_counter()
{line}
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""

IMPORTS = {
    "Concrete as it comes, `from concrete import fhe`": "from concrete import fhe",
    "without torch, `cryptml.fhe.concrete`": "import cryptml.fhe.concrete",
    "a worker, `cryptml_server.workers.process`": "import cryptml_server.workers.process",
    "a client, `cryptml_client`": "import cryptml_client",
}


def measure(line: str) -> tuple[float, float]:
    """Return the seconds of an import in a process of its own, and the most memory in MiB that it held."""
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(line=line)], capture_output=True, text=True, check=True)
    seconds, mebibytes = map(float, done.stdout.split())
    return seconds, mebibytes


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    options = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in IMPORTS}
    for _ in range(1 + options.pairs):
        for name, line in IMPORTS.items():
            found[name].append(measure(line))
    sys.stdout.write(f"{platform.machine()}, {os.cpu_count()} cores, {datetime.now(UTC).date().isoformat()}\n\n")
    sys.stdout.write("| import | seconds, median (least to most) | memory |\n|---|---:|---:|\n")
    for name, (_, *samples) in found.items():  # the first reads the disk
        seconds = [each for each, _ in samples]
        memory = statistics.median(mebibytes for _, mebibytes in samples)
        sys.stdout.write(
            f"| {name} | {statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f}) | {memory:.0f} MiB |\n"
        )


if __name__ == "__main__":
    main()
