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
from torch import Tensor, nn

from cryptml.datasets import load_dataset
from cryptml.errors import CircuitError, CryptmlError, NetworkError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS
from cryptml.networks import Standardisation
from cryptml.networks.architectures import reference
from cryptml.networks.architectures.design import NOISE, Design
from cryptml.networks.architectures.registry import Architecture, load_architecture
from cryptml.networks.architectures.wavelets import begin_as_wavelets
from cryptml.networks.modules.binned_linear import BinnedLinear
from cryptml.networks.modules.blocks import activation, convolution, input_grid, keep_taps, linear
from cryptml.networks.modules.negacyclic import NegacyclicActivation
from cryptml.networks.modules.rounded_accumulator import RoundedAccumulator
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR
from cryptml.splits import Segment
from cryptml.training import (
    Examples,
    TrainingSettings,
    check_convertible,
    cross_validate,
    prepare_folds,
    recipe,
)
from cryptml.training.recipes import RANGE_WEIGHT

FOLDS = 5
KEPT = 0.25
"""Of a neuron's weights, where the hidden layer is pruned."""

LOWERED = 3
"""Bits that weights and activations begin wider, where widths are lowered in stages."""

WHOLE_BITS = 4
"""Of inputs and of the first weights, where accumulators are read whole."""

SIMILARITY = 10.0
SHIPPED = recipe(load_architecture("reference"))
FRONT_END = Standardisation(reference.SIDE)
TEACHER = "float teacher, {}"


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


def rectified(classes: int) -> nn.Sequential:
    """Return the reference network with rectifiers for negacyclic activations, over rounded ranges with a margin."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, each in reference.build(classes).named_children():
        if isinstance(each, NegacyclicActivation):
            channels, volume = len(each.mean), name == "wave1"
            layers[name.replace("wave", "round")] = RoundedAccumulator(channels, bits=each.bits, noise=NOISE)
            layers[name.replace("wave", "norm")] = nn.BatchNorm2d(channels) if volume else nn.BatchNorm1d(channels)
        elif name.startswith("act"):
            layers[name] = activation(bits=3)
        elif isinstance(each, BinnedLinear):
            layers[name] = linear(each.in_features, each.out_features, bits=4, bias=False, scales=each.out_features)
        else:
            layers[name] = each
    return nn.Sequential(layers)


def unrounded(classes: int) -> nn.Sequential:
    """Return the network with rectifiers, its accumulators read whole: weights and inputs of fewer bits, or none could be."""
    layers = rectified(classes).named_children()
    kept = OrderedDict((name, each) for name, each in layers if not isinstance(each, RoundedAccumulator))
    filters = kept["conv1"]
    kept["grid"] = input_grid(bits=WHOLE_BITS)
    kept["conv1"] = begin_as_wavelets(
        convolution(1, filters.out_channels, filters.kernel_size[0], stride=filters.stride[0], bits=WHOLE_BITS)
    )
    return nn.Sequential(kept)


def pruned(classes: int) -> nn.Sequential:
    """Return the reference network with a quarter of the hidden layer's weights."""
    module = reference.build(classes)
    hidden = module.get_submodule("linear1")
    keep_taps(hidden, taps=round(KEPT * hidden.in_features), seed=0)
    return module


def variants(found: str | None, epochs: int) -> list[Variant]:
    """Return the rows; the last is what a search found, where its file is given."""
    shipped = replace(SHIPPED, epochs=epochs)
    convolutional = replace(shipped, teacher="convolutional")
    labels = replace(convolutional, distil=False)
    ranged = replace(labels, range_weight=RANGE_WEIGHT[FRONT_END.kind])
    rows = [
        Variant("plain quantisation-aware training", unrounded, labels),
        Variant("+ rounding in training", rectified, ranged),
        Variant("+ negacyclic activations, and weights made for their bins", reference.build, labels),
        Variant("+ a convolutional teacher's outputs", reference.build, convolutional),
        Variant("+ its features", reference.build, replace(convolutional, similarity_weight=SIMILARITY)),
        Variant("a kernel teacher's outputs instead: as shipped", reference.build, shipped),
        Variant("as shipped, + pruning", pruned, shipped),
        Variant("as shipped, + bit widths lowered in stages", reference.build, replace(shipped, lowered_bits=LOWERED)),
    ]
    if found:
        design = Design.load(Path(found))
        rows.append(Variant(f"as shipped, + search: {design.summary}", design.build, shipped))
    return rows


def price(architecture: Architecture, classes: tuple[str, ...], inputs: Tensor) -> str:
    """Return the compiler's estimate for all layers, in millions, or why there is none."""
    try:
        network = check_convertible(architecture, classes, inputs)
        compiled = compile_integer_program(network, Segment(0, len(network)), DEFAULT_COMPILER_SETTINGS)
    except (CircuitError, NetworkError):
        return "does not compile"
    compiled.discard()
    return f"{compiled.spec.complexity / 1e6:,.0f}"


@dataclass(frozen=True)
class Task:
    """All rows for one seed.

    Attributes:
        dataset: See `cryptml.datasets`.
        searched: File of the searched design.
        epochs: Of every training.
        seed: Of every training; it also cuts the folds.
        file: Holds the results so far.
    """

    dataset: str
    searched: str | None
    epochs: int
    seed: int
    file: Path


def train_seed(task: Task) -> dict[str, float]:
    """Cross-validate every row for one seed; what the file holds already is not trained again."""
    warnings.filterwarnings("ignore", category=UserWarning, module="torch")
    torch.set_num_threads(1)
    done: dict[str, float] = json.loads(task.file.read_text()) if task.file.exists() else {}
    missing = [row for row in variants(task.searched, task.epochs) if row.name not in done]
    if not missing:
        return done
    examples = Examples.of(load_dataset(task.dataset, reference.SIDE), FRONT_END, views=SHIPPED.views, seed=task.seed)
    for teacher in dict.fromkeys(row.settings.teacher for row in missing):
        prepared = prepare_folds(examples, FOLDS, replace(SHIPPED, teacher=teacher, epochs=task.epochs, seed=task.seed))
        for row in missing:
            if row.settings.teacher == teacher:
                settings = replace(row.settings, seed=task.seed)
                result = cross_validate(
                    Architecture("variant", FRONT_END, row.build), examples, prepared, settings, p_error=DEFAULT_P_ERROR
                )
                done[TEACHER.format(teacher)], done[row.name] = result.teacher.auc, result.quantised.auc
                task.file.write_text(json.dumps(done, indent=1) + "\n")
                sys.stderr.write(f"seed {task.seed}: {row.name}: {result.quantised.auc:.3f}\n")
    return done


def main() -> int:
    """Train everything, a seed a process, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=SHIPPED.epochs, help="of every training")
    parser.add_argument("--searched", default=None, help="design that a search found, a .json file")
    parser.add_argument("--out", type=Path, default=Path("bench/ablation"), help="results so far; a second run goes on")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    data = load_dataset(arguments.dataset, reference.SIDE)
    inputs = torch.from_numpy(FRONT_END.apply(data.images))
    mark = f"{data.digest[:12]}-{arguments.epochs}-epochs"
    tasks = [
        Task(arguments.dataset, arguments.searched, arguments.epochs, seed, arguments.out / f"{mark}-seed{seed}.json")
        for seed in range(arguments.seeds)
    ]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        done = list(pool.map(train_seed, tasks))
    out = sys.stdout
    out.write(
        f"{data.name}, {FOLDS}-fold per patient, pooled AUC; {arguments.epochs} epochs; "
        "complexity of one answer, all layers on the server\n\n"
    )
    out.write(
        f"| | {' | '.join(f'seed {seed}' for seed in range(arguments.seeds))} | mean | spread | complexity (M) |\n"
    )
    out.write(f"|---|{'---:|' * (arguments.seeds + 3)}\n")
    rows = variants(arguments.searched, arguments.epochs)
    teachers = [(TEACHER.format(each), None) for each in dict.fromkeys(row.settings.teacher for row in rows)]
    for name, build in [*teachers, *((row.name, row.build) for row in rows)]:
        found = [each[name] for each in done]
        cost = price(Architecture("variant", FRONT_END, build), data.classes, inputs) if build else "-"
        deviation = statistics.stdev(found) if len(found) > 1 else 0.0
        cells = [*(f"{auc:.3f}" for auc in found), f"{statistics.mean(found):.3f}", f"{deviation:.3f}", cost]
        out.write(f"| {name} | {' | '.join(cells)} |\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CryptmlError as error:
        sys.exit(f"error: {error}")
