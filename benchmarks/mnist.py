"""Accuracy against encrypted seconds on MNIST, beside the network `scatter` in turn on the same cores; prints a Markdown table.

python -m benchmarks.mnist mnist:PATH NETWORK... [--answers 20] [--rounds 15]

The networks are those of examples/mnist_networks.py, trained by cryptml train. Accuracy is of the last twelfth of the training digits,
which no network has seen: as integers in the clear, and with the noise that tables which round have. All learned layers are on the server.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.deployment import Deployment
from benchmarks.machine import heading
from cryptml.datasets import Dataset, load_dataset
from cryptml.errors import CryptmlError
from cryptml.exposure.facts import segment_exposure
from cryptml.networks.boundary import FloatArray
from cryptml.networks.rounding.envelope import envelope
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR
from cryptml.splits import Segment
from cryptml.training import measure_fidelity, predict_program

BESIDE = "scatter"


def inputs_of(deployment: Deployment, data: Dataset) -> FloatArray:
    """Return what the network's first layer takes, for every digit."""
    return deployment.network.front_end.apply(data.images)


def accuracy(deployment: Deployment, data: Dataset) -> tuple[float, float]:
    """Return the share that is right in the clear, and that of labels which noise leaves as they are."""
    import torch

    inputs = torch.from_numpy(inputs_of(deployment, data))
    clear = predict_program(deployment.network, inputs).argmax(axis=1)
    fidelity = measure_fidelity(deployment.network, inputs, data.labels, DEFAULT_P_ERROR)
    same = min((each.same_label for each in fidelity.rounding), default=1.0)
    return float((clear == data.labels).mean()), float(same)


def encrypted(deployment: Deployment, data: Dataset, count: int) -> tuple[int, int, float]:
    """Return how many encrypted answers are within what rounding may change, how many are right, and the client's seconds of one."""
    network, segment = deployment.network, deployment.circuit.segment
    chosen = np.linspace(0, len(data) - 1, count).astype(int)
    consistent = right = 0
    spent = []
    with ExitStack() as stack:
        _, (tenant,) = deployment.service(stack, workers=1, threads=os.cpu_count() or 1, tenants=1)
        tenant.answers.clear()
        for place in chosen:
            began = time.perf_counter()
            values = network.boundaries[0].quantise(network.front_end.apply(data.images[place : place + 1]))
            tenant.ciphertext = deployment.client.encrypt(values)
            spent.append(time.perf_counter() - began)
            tenant.ask()
            found = deployment.client.decrypt(tenant.answers.pop())
            consistent += envelope(network, values, segment).holds(found.reshape(1, *network.boundaries[-1].shape))
            right += int(found.ravel().argmax()) == data.labels[place]
    return consistent, right, statistics.median(spent)


def in_turn(one: Deployment, other: Deployment, rounds: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds of evaluations of both, each first in its turn, with all threads."""
    threads = os.cpu_count() or 1
    times: tuple[list[float], list[float]] = ([], [])
    with ExitStack() as stack:
        both = [
            (each.bare(stack, threads), each.client.encrypt(each.values), found)
            for each, found in zip((one, other), times, strict=True)
        ]
        for evaluate, ciphertext, _ in both:
            evaluate(ciphertext)
        for number in range(rounds):
            for evaluate, ciphertext, found in both if number % 2 else both[::-1]:
                time.sleep(0.4)  # the other's threads spin for a while
                found.append(evaluate(ciphertext))
    return times


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--answers", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    out = sys.stdout
    out.write(f"{heading()}; accuracy of 5,000 digits, evaluations in turn with those of {BESIDE}\n\n")
    out.write(
        "| network | inputs | PBS | right, clear | same label with noise | encrypted: within rounding, right | an evaluation | "
        "of scatter's | client | recovered by |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
    )
    with tempfile.TemporaryDirectory(prefix="cryptml-bench-") as folder:
        work = Path(folder) / BESIDE
        work.mkdir()
        beside = Deployment(BESIDE, "SSS", work)
        for number, name in enumerate(arguments.networks):
            work = Path(folder) / str(number)
            work.mkdir()
            deployment = Deployment(name, "SSS", work)
            network = deployment.network
            data = load_dataset(arguments.dataset, network.front_end.side).subset("test")
            right, same = accuracy(deployment, data)
            consistent, hits, client = encrypted(deployment, data, arguments.answers)
            own, others = in_turn(deployment, beside, arguments.rounds)
            whole = Segment(0, len(network))
            queries = segment_exposure(network, whole).queries
            ratios = [one / other for one, other in zip(own, others, strict=True)]
            cells = [
                network.name,
                str(int(np.prod(network.boundaries[0].shape))),
                str(network.bootstraps(whole)),
                f"{right:.2%}",
                f"{same:.2%}",
                f"{consistent} and {hits} of {arguments.answers}",
                f"{statistics.median(own):.0f} ms ({min(own):.0f} to {max(own):.0f})",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                f"{1000 * client:.0f} ms",
                "no known number" if queries is None else f"{queries:,} queries",
            ]
            out.write(f"| {' | '.join(cells)} |\n")
            out.flush()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CryptmlError as error:
        sys.exit(f"error: {error}")
