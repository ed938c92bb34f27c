"""What plain methods make of sets of public features: where a head behind them can get to, and how many inputs it would encrypt.

    python -m benchmarks.feature_sets --dataset mias:PATH [--seeds 3]

For every set, 5-fold cross-validation per patient, all folds pooled, the mean over seeds: a logistic regression whose strength is chosen by
folds within each fold, and a support vector machine. Nothing is quantised, and pictures are not varied.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from benchmarks.machine import heading
from cryptml.datasets import load_dataset
from cryptml.datasets.base import Dataset
from cryptml.networks import FloatArray, Scattering
from cryptml.networks.front_ends import Deep, FrontEnd, Joined
from cryptml.training.evaluation.feature_baselines import fit_feature_baselines
from cryptml.training.evaluation.measures import evaluate_probabilities

FOLDS = 5


def sets(side: int) -> dict[str, FrontEnd]:
    """Return the sets for regions of some side, a multiple of 4, by name."""
    half = max(16, side // 2)
    turned = Scattering(side, 3, 8, turned=True)
    found: dict[str, FrontEnd] = {
        "deep": Deep(side),
        "deep, mirror": Deep(side, "mirror"),
        "deep, square": Deep(side, "square"),
        "deep, square, 1 cell": Deep(side, "square", 1),
        "scattering, 1 cell": Scattering(side, 3, 8),
        "scattering, 2 x 2 cells, harmonics to order 2": Scattering(side, 3, 8, 2, 2),
        "scattering over turns": turned,
        "deep, square, and scattering over turns": Joined(side, (Deep(side, "square"), turned)),
        "deep, mirror, and scattering with harmonics": Joined(
            side, (Deep(side, "mirror"), Scattering(side, 3, 8, 2, 2))
        ),
    }
    if side % half == 0 and half < side:
        small = {"square": Deep(half, "square"), "square, 1 cell": Deep(half, "square", 1)}
        for name, part in small.items():
            found[f"deep of {half} x {half}, {name}"] = Joined(side, (part,))
            found[f"deep of {half} x {half}, {name}, and scattering over turns"] = Joined(side, (part, turned))
    return found


def judge(rows: FloatArray, data: Dataset, seeds: int) -> dict[str, list[float]]:
    """Return the pooled AUC of each method for each seed."""
    areas: dict[str, list[float]] = {}
    for seed in range(seeds):
        chances: dict[str, FloatArray] = {}
        for rest, held_out in data.folds(FOLDS, seed):
            for name, fitted in fit_feature_baselines(rows[rest], data.take(rest)).items():
                pooled = chances.setdefault(name, np.zeros((len(data), len(data.classes)), np.float32))
                pooled[held_out] = fitted(rows[held_out])
        for name, pooled in chances.items():
            areas.setdefault(name, []).append(evaluate_probabilities(pooled, data).auc)
    return areas


def main() -> None:
    """Print one line a set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    data = load_dataset(given.dataset, given.side)
    print(f"{heading()}; {data.name}, {len(data)} pictures, {given.seeds} seeds")
    print(
        "| features | inputs | ms a picture | logistic regression | support vector machine |\n|---|---:|---:|---:|---:|"
    )
    for name, front_end in sets(given.side).items():
        start = time.process_time()
        rows = front_end.apply(data.images)
        spent = 1e3 * (time.process_time() - start) / len(data)
        told = [
            f"{np.mean(each):.3f} ({min(each):.3f} to {max(each):.3f})"
            for each in judge(rows, data, given.seeds).values()
        ]
        print(f"| {name} | {front_end.shape[0]} | {spent:.1f} | {' | '.join(told)} |", flush=True)


if __name__ == "__main__":
    main()
