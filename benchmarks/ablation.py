"""What each part of the cost-aware training does to accuracy and price: one row more each, several seeds, on one data set.

python -m benchmarks.ablation --dataset mias:PATH
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import nn

from cryptml.datasets import load_dataset
from cryptml.errors import CircuitError, CryptmlError
from cryptml.fhe.backends.integer import compile_integer_program
from cryptml.fhe.circuit import DEFAULT_P_ERROR
from cryptml.networks import Standardisation
from cryptml.networks.architectures import reference
from cryptml.networks.architectures.blocks import keep_taps
from cryptml.networks.architectures.registry import Architecture, load_architecture
from cryptml.networks.architectures.rounding import RoundedAccumulator
from cryptml.splits import Segment
from cryptml.training import (
    Examples,
    TrainingSettings,
    check_convertible,
    cross_validate,
    prepare_folds,
    recipe,
)

FOLDS = 5
TAPS = 32
"""Of 128 weights a neuron of the second convolution, where it is pruned."""

SIMILARITY = 10.0
SHIPPED = recipe(load_architecture("reference"))
FRONT_END = Standardisation(reference.SIDE)
TEACHER = "float teacher"


@dataclass(frozen=True)
class Variant:
    """A row of the table.

    Attributes:
        name: What it is, or adds to the row before.
        build: The untrained network.
        settings: Of its training, the seed aside.
    """

    name: str
    build: Callable[[int], nn.Sequential]
    settings: TrainingSettings


def unrounded(classes: int) -> nn.Sequential:
    """Return the reference network with its accumulators read whole."""
    layers = reference.build(classes).named_children()
    return nn.Sequential(OrderedDict((name, each) for name, each in layers if not isinstance(each, RoundedAccumulator)))


def plainly_rounded(classes: int) -> nn.Sequential:
    """Return the reference network, trained with the engine's own noise and no more."""
    module = reference.build(classes)
    for each in module.modules():
        if isinstance(each, RoundedAccumulator):
            each.deviation /= reference.NOISE
    return module


def pruned(classes: int) -> nn.Sequential:
    """Return the reference network with a quarter of the second convolution's weights."""
    module = reference.build(classes)
    keep_taps(module.get_submodule("conv2"), taps=TAPS, seed=0)
    return module


def variants(found: str | None) -> list[Variant]:
    """Return the rows; the last is what a search found, where its file is given."""
    plain = replace(SHIPPED, distil=False, range_weight=0.0)
    outputs = replace(plain, distil=True)
    rows = [
        Variant("plain quantisation-aware training", unrounded, plain),
        Variant("+ rounding in training", plainly_rounded, plain),
        Variant("+ the teacher's outputs", plainly_rounded, outputs),
        Variant("+ the teacher's features", plainly_rounded, replace(outputs, similarity_weight=SIMILARITY)),
        Variant("outputs, + more noise and penalty on range (as shipped)", reference.build, SHIPPED),
        Variant("as shipped, + pruning", pruned, SHIPPED),
    ]
    if found:
        rows.append(Variant("as shipped, + search", load_architecture(found).build, SHIPPED))
    return rows


def price(architecture: Architecture, classes: tuple[str, ...]) -> str:
    """Return the compiler's estimate for all behind the first table, in millions, or why there is none."""
    network = check_convertible(architecture, classes)
    first = next(place for place, layer in enumerate(network.layers) if layer.kind == "activation")
    segment = Segment(first + 1, len(network))  # the client keeps the first table, as in the default split
    try:
        compiled = compile_integer_program(network, segment, DEFAULT_P_ERROR)
    except CircuitError:
        return "does not compile"
    compiled.discard()
    return f"{compiled.spec.complexity / 1e6:,.0f}"


def train_seed(arguments: tuple[str, str | None, int, str]) -> dict[str, float]:
    """Cross-validate every row for one seed; what the file holds already is not trained again.

    Args:
        arguments: Data set, file of the searched design, seed, file of the results so far.
    """
    dataset, searched, seed, name = arguments
    warnings.filterwarnings("ignore", category=UserWarning, module="torch")
    torch.set_num_threads(1)
    file = Path(name)
    done: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
    missing = [row for row in variants(searched) if row.name not in done]
    if missing:
        examples = Examples.of(load_dataset(dataset, reference.SIDE), FRONT_END, views=SHIPPED.views, seed=seed)
        prepared = prepare_folds(examples, FOLDS, replace(SHIPPED, seed=seed))
        for row in missing:
            settings = replace(row.settings, seed=seed)
            result = cross_validate(Architecture("variant", FRONT_END, row.build), examples, prepared, settings)
            done[TEACHER], done[row.name] = result.teacher.auc, result.quantised.auc
            file.write_text(json.dumps(done, indent=1) + "\n")
            sys.stderr.write(f"seed {seed}: {row.name}: {result.quantised.auc:.3f}\n")
    return done


def main() -> int:
    """Train everything, a seed a process, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--searched", default=None, help="design that a search found, a .json file")
    parser.add_argument("--out", type=Path, default=Path("bench/ablation"), help="results so far; a second run goes on")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    tasks = [
        (arguments.dataset, arguments.searched, seed, str(arguments.out / f"seed{seed}.json"))
        for seed in range(arguments.seeds)
    ]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        done = list(pool.map(train_seed, tasks))
    out = sys.stdout
    data = load_dataset(arguments.dataset, reference.SIDE)
    out.write(f"{data.name}, {FOLDS}-fold by patient, pooled AUC; complexity of one answer, default split\n\n")
    out.write(
        f"| | {' | '.join(f'seed {seed}' for seed in range(arguments.seeds))} | mean | spread | complexity (M) |\n"
    )
    out.write(f"|---|{'---:|' * (arguments.seeds + 3)}\n")
    rows = variants(arguments.searched)
    for name, build in [(TEACHER, None), *((row.name, row.build) for row in rows)]:
        found = [each[name] for each in done]
        cost = price(Architecture("variant", FRONT_END, build), data.classes) if build else "-"
        deviation = statistics.stdev(found) if len(found) > 1 else 0.0
        cells = [*(f"{auc:.3f}" for auc in found), f"{statistics.mean(found):.3f}", f"{deviation:.3f}", cost]
        out.write(f"| {name} | {' | '.join(cells)} |\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CryptmlError as error:
        sys.exit(f"error: {error}")
