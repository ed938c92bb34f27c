"""What a stricter p_error costs and gives: work, keys, noise, and labels that stay, by simulation.

python benchmarks/compiler_settings.py --network conv --dataset breastmnist:PATH
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

import numpy as np

from cryptml.datasets import load_dataset
from cryptml.errors import CryptmlError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.settings import CompilerSettings
from cryptml.networks import load_network
from cryptml.networks.network import probabilities
from cryptml.networks.rounding.noise import bin_deviation
from cryptml.networks.shipped import DEFAULT_SPLITS
from cryptml.splits import Split
from cryptml.training.evaluation.fidelity import compare_answers, simulate_evaluations

EXPONENTS = (40, 48, 56, 64, 72, 80, 96, 128)


def main() -> int:
    """Print a row a p_error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="reference")
    parser.add_argument("--split", default=None, help="with one server segment; the default split if not given")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--subset", default="validation")
    arguments = parser.parse_args()
    network = load_network(arguments.network)
    split = Split(arguments.split or DEFAULT_SPLITS.get(arguments.network, "S" * len(network)))
    segments = split.require_length(len(network)).server_segments
    if len(segments) != 1 or segments[0].stop != len(network):
        parser.error(f"split {split} does not end in its only server segment; choose one that does")
    data = load_dataset(arguments.dataset, network.front_end.side).subset(arguments.subset)
    values = network.quantise(data.images)
    clear = probabilities(network.boundaries[-1].dequantise(network.run(values)))
    out = sys.stdout
    today = datetime.now(UTC).date().isoformat()
    out.write(
        f"{arguments.network}, split {split}, {len(data)} pictures of {data.name} {arguments.subset}, {today}\n\n"
    )
    out.write("| p_error | work | keys (MB) | an answer fails with | noise (bins) | same label | AUC changes by |\n")
    out.write("|---|---:|---:|---:|---:|---:|---:|\n")
    first = None
    for exponent in EXPONENTS:
        p_error = 2.0**-exponent
        compiled = compile_integer_program(network, segments[0], CompilerSettings(p_error))
        spec = compiled.spec
        compiled.discard()
        first = first or spec.complexity
        noisy = simulate_evaluations(network, values, p_error, start=segments[0].start)
        found = compare_answers(network.layers[segments[0].start].name, clear, noisy, data.labels)
        cells = [
            f"2^-{exponent}",
            f"{spec.complexity / first:.2f}",
            f"{spec.parameters.evaluation_key_bytes / 1e6:.1f}",
            f"2^{np.log2(spec.failure_probability):.0f}",
            f"{bin_deviation(p_error):.3f}",
            f"{found.same_label:.2%}",
            f"{found.auc_change:.4f}",
        ]
        out.write(f"| {' | '.join(cells)} |\n")
        out.flush()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CryptmlError as error:
        sys.exit(f"error: {error}")
