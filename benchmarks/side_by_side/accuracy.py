"""What each network is worth, cross-validated by patient; and the training of those that do not come with the package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from benchmarks.side_by_side import ckks, stock
from cryptml.cli.train import FIGURES_FILE
from cryptml.datasets.base import Dataset
from cryptml.networks import Standardisation, save_network
from cryptml.networks.architectures.registry import load_architecture
from cryptml.networks.checkpoint import save_checkpoint
from cryptml.networks.storage import resolve_network
from cryptml.training import (
    Examples,
    TrainingSettings,
    cross_validate,
    evaluate_probabilities,
    prepare_folds,
    train_network,
)
from cryptml.training.cross_validation import inner_split
from cryptml.training.examples import predict
from cryptml.training.fit import balanced_cross_entropy, fit, seeded

FOLDS = 5
STOCK = "benchmarks.side_by_side.stock:build"
STOCK_FOLDER = "stock"
CKKS_WEIGHTS = "ckks.safetensors"
FIGURES = "accuracy.json"
PLAIN = TrainingSettings(distil=False)

Figures = dict[str, Any]


def shipped(network: str) -> Figures | None:
    """Return the cross-validated figures that lie beside a shipped network; None where there are none."""
    document = json.loads((resolve_network(network) / FIGURES_FILE).read_text())
    validated = document["cross_validation"]
    return None if validated is None else _figures(validated["quantised"])


def trained(data: Dataset, work: Path, tell: Callable[[str], None]) -> dict[str, Figures]:
    """Train what is compared with, cross-validate it, and keep both in the work folder, where the next run finds them.

    Args:
        data: Of side 28.
        work: Gets the weights and the figures.
        tell: Hears what is trained.
    """
    kept = work / FIGURES
    if kept.exists():
        found: dict[str, Figures] = json.loads(kept.read_text())
        return found
    examples = Examples.of(data, Standardisation(stock.SIDE), views=PLAIN.views)
    train, validation = examples.subset("train"), examples.subset("validation")
    architecture = load_architecture(STOCK)
    tell(f"stock network, {FOLDS}-fold cross-validation")
    validated = cross_validate(architecture, examples, prepare_folds(examples, FOLDS, PLAIN), PLAIN)
    tell("stock network")
    network = train_network(architecture, train, validation, PLAIN)
    save_network(network.network, work / STOCK_FOLDER, architecture=STOCK)
    save_checkpoint(network.module, work / STOCK_FOLDER)
    tell(f"CKKS network, {FOLDS}-fold cross-validation")
    squares = np.zeros((len(data), len(data.classes)), np.float32)
    for rest, held_out in data.folds(FOLDS, PLAIN.seed):
        module = _fit_squares(*inner_split(examples.take(rest), PLAIN.seed))
        squares[held_out] = predict(module, examples.take(held_out).inputs[:, 0])
    tell("CKKS network")
    save_file(_fit_squares(train, validation).state_dict(), work / CKKS_WEIGHTS)
    figures = {
        "stock": _figures(validated.quantised.to_json()),
        "ckks": _figures(evaluate_probabilities(squares, data, PLAIN.seed).to_json()),
    }
    kept.write_text(json.dumps(figures, indent=1))
    return figures


def _fit_squares(train: Examples, validation: Examples) -> torch.nn.Sequential:
    with seeded(PLAIN.seed):
        module = ckks.build(train.dataset.side, train.classes)
    fit(module, train, validation, PLAIN, balanced_cross_entropy(train.class_weights()))
    return module


def _figures(evaluation: dict[str, Any]) -> Figures:
    return {name: evaluation[name] for name in ("dataset", "images", "auc", "auc_low", "auc_high")}
