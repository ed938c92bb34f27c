"""Encrypted against clear answers of a network's default split, on real regions, over real HTTP; prints a Markdown table.

python benchmarks/encrypted_agreement.py --dataset mias:PATH --count 20
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from cryptml_client import Client, KeyStore

from cryptml.bundle.build import build_bundle
from cryptml.cli.console import bar
from cryptml.cli.local_service import local_service
from cryptml.datasets import load_dataset
from cryptml.fhe.backends.integer import compile_integer_program
from cryptml.fhe.circuit import DEFAULT_P_ERROR
from cryptml.networks import load_network
from cryptml.networks.shipped import DEFAULT_SPLITS
from cryptml.splits import Split


def main() -> int:
    """Return 0 if every answer is equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="reference")
    parser.add_argument("--split", default=None)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--subset", default="test")
    parser.add_argument("--count", type=int, default=20)
    arguments = parser.parse_args()

    network = load_network(arguments.network)
    split = Split(arguments.split or DEFAULT_SPLITS[arguments.network])
    data = load_dataset(arguments.dataset, network.front_end.side).subset(arguments.subset)
    chosen = np.linspace(0, len(data) - 1, min(arguments.count, len(data))).astype(int)
    rows, times = [], []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        build_bundle(network, split, work / "bundle", backend=compile_integer_program, p_error=DEFAULT_P_ERROR)
        with (
            local_service([work / "bundle"], work / "data") as service,
            Client(service.url, keys=KeyStore(work / "keys")) as client,
            bar("encrypted regions", len(chosen)) as (progress, task),
        ):
            client.prepare()
            for number, index in enumerate(chosen, 1):
                region = data.images[index]
                prediction = client.predict_region(region)
                clear = network.run(network.quantise(region[None]))[0]
                equal = bool(np.array_equal(prediction.answer.integers, clear))
                times.append(prediction.answer.timings.stages["server_evaluate"] / 1000)
                answer = prediction.answer
                cells = (
                    number,
                    data.classes[data.labels[index]],
                    answer.integers.tolist(),
                    clear.tolist(),
                    answer.label,
                )
                rows.append((*cells, "yes" if equal else "NO", f"{times[-1]:.1f}"))
                progress.advance(task)
    equal_count = sum(row[5] == "yes" for row in rows)
    out = sys.stdout
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    out.write(
        f"{arguments.network}, split {split}, {data.name} {arguments.subset}, {datetime.now(timezone.utc).date()}, {machine}\n\n"
    )
    out.write(
        "| region | truth | decrypted | in the clear | label | equal | evaluation (s) |\n|---|---|---|---|---|---|---|\n"
    )
    for row in rows:
        out.write("| " + " | ".join(map(str, row)) + " |\n")
    spread = f"{min(times):.1f} to {max(times):.1f}"
    out.write(
        f"\n{equal_count} of {len(rows)} equal; evaluation: median {statistics.median(times):.1f} s ({spread} s)\n"
    )
    return 0 if equal_count == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
