"""Encrypted against clear answers on real regions, over real HTTP, and how long each stage takes; prints Markdown tables.

python benchmarks/encrypted_agreement.py --dataset mias:PATH --count 20
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from cryptml_client import Client, KeyStore

from cryptml.bundle.build import build_bundle
from cryptml.cli.console import bar
from cryptml.datasets import load_dataset
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.settings import CompilerSettings, Rounding
from cryptml.networks import load_network
from cryptml.networks.network import probabilities
from cryptml.networks.rounding.envelope import split_envelope
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR
from cryptml.networks.shipped import DEFAULT_SPLITS
from cryptml.splits import Split
from cryptml.training.evaluation.auc import RocAuc
from cryptml.verification.local_service import local_service


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="reference")
    parser.add_argument("--split", default=None)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--subset", default="test")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--p-error", type=float, default=DEFAULT_P_ERROR, help="of one programmable bootstrap")
    parser.add_argument("--rounding", choices=[each.value for each in Rounding], default=Rounding.APPROXIMATE.value)
    parser.add_argument("--rows", action="store_true", help="print every answer")
    return parser.parse_args()


def main() -> int:
    """Return 0 if every answer is the clear one's, up to what approximate rounding may change."""
    arguments = _arguments()
    network = load_network(arguments.network)
    split = Split(arguments.split or DEFAULT_SPLITS.get(arguments.network, "S" * len(network)))
    data = load_dataset(arguments.dataset, network.front_end.side).subset(arguments.subset)
    chosen = np.linspace(0, len(data) - 1, min(arguments.count, len(data))).astype(int)
    rows, stages, encrypted, clear = [], [], [], []
    inside = 0
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        build_bundle(
            network,
            split,
            work / "bundle",
            backend=compile_integer_program,
            settings=CompilerSettings(arguments.p_error, rounding=Rounding(arguments.rounding)),
        )
        with (
            local_service([work / "bundle"], work / "data") as service,
            Client(service.url, keys=KeyStore(work / "keys"), trust_first_use=True) as client,
            bar("encrypted regions", len(chosen)) as (progress, task),
        ):
            client.prepare()
            client.predict_region(data.images[chosen[0]])  # the first evaluation after loading keys is slower
            for number, index in enumerate(chosen, 1):
                region = data.images[index]
                answer = client.predict_region(region).answer
                values = network.quantise(region[None])
                expected = network.run(values)
                inside += split_envelope(network, split, values).holds(answer.integers[None])
                encrypted.append(answer.probabilities)
                clear.append(probabilities(network.boundaries[-1].dequantise(expected))[0])
                stages.append(answer.timings.stages | {"all": answer.timings.total})
                equal = "yes" if np.array_equal(answer.integers, expected[0]) else "no"
                truth = data.classes[data.labels[index]]
                cells = (number, truth, answer.integers.tolist(), expected[0].tolist(), answer.label, equal)
                rows.append((*cells, f"{answer.timings.total / 1000:.2f}"))
                progress.advance(task)
    _print(arguments, split, rows, stages)
    labels = data.labels[chosen]
    found, wanted = np.array(encrypted), np.array(clear)
    same = int((found.argmax(axis=1) == wanted.argmax(axis=1)).sum())
    out = sys.stdout
    out.write(f"\n{sum(row[5] == 'yes' for row in rows)} of {len(rows)} equal to the integer, ")
    out.write(f"{inside} within what rounding may change, {same} with the label of the clear answer")
    if len(np.unique(labels)) == len(data.classes):
        aucs = [RocAuc(labels, each, data.name).value() for each in (found, wanted)]
        out.write(f"; AUC {aucs[0]:.4f} encrypted, {aucs[1]:.4f} in the clear")
    out.write("\n")
    return 0 if inside == len(rows) else 1


def _print(
    arguments: argparse.Namespace, split: Split, rows: Sequence[Sequence[object]], stages: Sequence[dict[str, float]]
) -> None:
    out = sys.stdout
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    what = f"{arguments.network}, split {split}, {arguments.dataset.partition(':')[0]} {arguments.subset}"
    compiler = f"p_error {arguments.p_error:.3g}, rounding {arguments.rounding}"
    out.write(f"{what}, {compiler}, {datetime.now(UTC).date()}, {machine}\n\n")
    if arguments.rows:
        out.write(
            "| region | truth | decrypted | in the clear | label | equal | all (s) |\n|---|---|---|---|---|---|---|\n"
        )
        for row in rows:
            out.write("| " + " | ".join(map(str, row)) + " |\n")
        out.write("\n")
    out.write("| stage | median (ms) | 5 % to 95 % (ms) |\n|---|---|---|\n")
    for stage in stages[0]:
        samples = [each[stage] for each in stages]
        low, high = np.percentile(samples, [5, 95])
        out.write(f"| {stage.replace('_', ' ')} | {statistics.median(samples):.1f} | {low:.1f} to {high:.1f} |\n")


if __name__ == "__main__":
    sys.exit(main())
