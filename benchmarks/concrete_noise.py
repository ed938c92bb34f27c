"""How often Concrete reads a table entry beside it of a rounding table, against the noise that training and simulation assume.

python benchmarks/concrete_noise.py --dataset mias:PATH --count 30

The table of one layer is replaced by the numbers of its bins, which are then decrypted: for each it is known where in its bin the
accumulator lay, and what was read.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from datetime import UTC, datetime

import numpy as np
from concrete import fhe
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from cryptml.cli.console import bar
from cryptml.datasets import load_dataset
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS
from cryptml.networks import FloatArray, IntArray, load_network
from cryptml.networks.conversion.grid import to_boundary
from cryptml.networks.layers import Activation, Linear
from cryptml.networks.network import Network
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR, bin_deviation
from cryptml.splits import Segment


def main() -> int:
    """Return 0 if no bootstrap read further than a table entry beside it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="reference")
    parser.add_argument("--segment", default="2-5", help="layers, the last of which rounds")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--count", type=int, default=30)
    arguments = parser.parse_args()

    network = load_network(arguments.network)
    start, stop = map(int, arguments.segment.split("-"))
    if stop - start < 2:
        parser.error(f"segment {arguments.segment} has no layer in front of its table; give two layers or more")
    segment, counting = Segment(start, stop), _counting(network, stop)
    data = load_dataset(arguments.dataset, network.front_end.side).subset("train")
    chosen = np.linspace(0, len(data) - 1, min(arguments.count, len(data))).astype(int)
    values = counting.quantise(data.images[chosen])
    values = counting.run(values, Segment(0, start)) if start else values
    accumulators = counting.run(values, Segment(start, stop - 1))
    expected = counting.run(values, segment)

    compiled = compile_integer_program(counting, segment, DEFAULT_COMPILER_SETTINGS)
    client = fhe.Client(fhe.ClientSpecs.deserialize(compiled.spec.client_specs))
    client.keygen()
    found = []
    with bar("encrypted regions", len(chosen)) as (progress, task):
        for value in values:
            ciphertext = client.encrypt(compiled.spec.codec.encode(value[None]))
            answer = client.decrypt(compiled.server.run(ciphertext, evaluation_keys=client.evaluation_keys))
            found.append(compiled.spec.codec.decode(answer)[0])
            progress.advance(task)
    compiled.discard()

    numbers = counting.layers[stop - 1]
    assert isinstance(numbers, Activation)
    bins = numbers.bins
    inside = bins.hold(accumulators)  # beyond its bins a table has no right entry
    accumulators, off = accumulators[inside], (np.stack(found) - expected)[inside]
    place = ((accumulators - bins.low) % bins.width + 0.5) / bins.width
    assumed, measured = bin_deviation(DEFAULT_P_ERROR), _deviation(place, off)
    simulated = float((norm.sf((1 - place) / assumed) + norm.cdf(-place / assumed)).mean())
    out = sys.stdout
    out.write(
        f"{arguments.network} {segment}, p_error 2^-40, {off.size} bootstraps of {bins.bits} bits, {datetime.now(UTC).date()}, "
        f"{os.cpu_count()} cores, {platform.machine()}\n\n"
    )
    out.write("| | measured | assumed |\n|---|---:|---:|\n")
    out.write(f"| bootstraps that read a table entry beside it | {(off != 0).mean():.2%} | {simulated:.2%} |\n")
    out.write(f"| deviation of the noise, in bins | {measured:.4f} | {assumed:.4f} |\n")
    out.write(f"| bootstraps further off | {int((np.abs(off) > 1).sum())} | 0 |\n")
    return int(bool((np.abs(off) > 1).any()))


def _counting(network: Network, stop: int) -> Network:
    """Return the network up to a table, which gives the numbers of its bins; what follows adds them up, and is not run."""
    table = network.layers[stop - 1]
    if not isinstance(table, Activation) or not table.rounds or table.negacyclic:
        raise SystemExit(f"layer {table.name!r} does not round over a range; end the segment with one that does")
    before = network.boundaries[stop - 1]
    numbers = Activation(
        table.name, np.arange(table.bins.count)[None], table.low, table.dropped_bits, clamps=table.clamps
    )
    layers, boundaries = [*network.layers[: stop - 1], numbers], list(network.boundaries[:stop])
    boundaries.append(to_boundary(numbers, before, np.ones(1), np.zeros(1, np.int64)))
    classes = len(network.classes)
    size = int(np.prod(boundaries[-1].shape))
    last = Linear("last", np.ones((classes, size), np.int64), np.zeros(classes, np.int64))
    boundaries.append(to_boundary(last, boundaries[-1], np.ones(1), np.zeros(1, np.int64)))
    return Network(network.name, network.front_end, (*layers, last), tuple(boundaries), network.classes)


def _deviation(place: FloatArray, off: IntArray) -> float:
    """Return the deviation of normal noise under which what was read is likeliest."""

    def surprise(deviation: float) -> float:
        above, below = norm.sf((1 - place) / deviation), norm.cdf(-place / deviation)
        chance = np.where(off > 0, above, np.where(off < 0, below, 1 - above - below))
        return float(-np.log(np.clip(chance, 1e-15, None)).sum())

    return float(minimize_scalar(surprise, bounds=(0.01, 0.3), method="bounded").x)


if __name__ == "__main__":
    sys.exit(main())
