"""What each network is worth, cross-validated per patient; and the training of those that do not come with the package."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from benchmarks.side_by_side import ckks, stock
from cryptml.datasets.base import Dataset
from cryptml.errors import SettingError
from cryptml.networks import Standardisation, save_network
from cryptml.networks.architectures.registry import load_architecture
from cryptml.networks.boundary import FloatArray
from cryptml.networks.checkpoint import save_checkpoint
from cryptml.networks.storage import resolve_network
from cryptml.training import (
    Examples,
    TrainingSettings,
    evaluate_probabilities,
    predict_program,
    train_network,
)
from cryptml.training.evaluation.study import FIGURES_FILE
from cryptml.training.examples import predict
from cryptml.training.fit import balanced_cross_entropy, fit, seeded

FOLDS = 5
STOCK = "benchmarks.side_by_side.stock:build"
STOCK_FOLDER = "stock"
CKKS_WEIGHTS = "ckks.safetensors"
FIGURES = "accuracy.json"
PLAIN = TrainingSettings(distil=False, keep="last", epochs=100, weight_decay=0.05)
"""Better for both than choosing the epoch by a sixth of the patients."""

SQUARES_RATE = 1e-3
"""Squares diverge sooner."""

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

    Raises:
        SettingError: If the folder holds networks that were trained on other data.
    """
    kept = work / FIGURES
    if kept.exists():
        found = json.loads(kept.read_text())
        if found["data"] != data.digest:
            raise SettingError(f"{work} holds networks trained on other data; choose another folder with --out")
        trained_before: dict[str, Figures] = found["figures"]
        return trained_before
    examples = Examples.of(data, Standardisation(stock.SIDE), views=PLAIN.views)
    architecture = load_architecture(STOCK)
    tell(f"stock network, {FOLDS}-fold cross-validation")
    figures = {
        "stock": _pooled(
            examples,
            lambda train, test: predict_program(
                train_network(architecture, train, None, PLAIN).network, test.inputs[:, 0]
            ),
        )
    }
    tell(f"CKKS network, {FOLDS}-fold cross-validation")
    figures["ckks"] = _pooled(examples, lambda train, test: predict(_fit_squares(train), test.inputs[:, 0]))
    tell("both on the training patients")
    train = examples.subset("train")
    network = train_network(architecture, train, None, PLAIN)
    save_network(network.network, work / STOCK_FOLDER, architecture=STOCK)
    save_checkpoint(network.module, work / STOCK_FOLDER)
    save_file(_fit_squares(train).state_dict(), work / CKKS_WEIGHTS)
    kept.write_text(json.dumps({"data": data.digest, "figures": figures}, indent=1))
    return figures


def _pooled(examples: Examples, answer: Callable[[Examples, Examples], FloatArray]) -> Figures:
    """Return figures of what networks say of patients that they were trained without, all folds pooled."""
    data = examples.dataset
    found = np.zeros((len(data), len(data.classes)), np.float32)
    for rest, held_out in data.folds(FOLDS, PLAIN.seed):
        found[held_out] = answer(examples.take(rest), examples.take(held_out))
    return _figures(evaluate_probabilities(found, data, PLAIN.seed).to_json())


def _fit_squares(train: Examples) -> torch.nn.Sequential:
    with seeded(PLAIN.seed):
        module = ckks.build(train.dataset.side, train.classes)
    settings = replace(PLAIN, learning_rate=SQUARES_RATE)
    fit(module, train, None, settings, balanced_cross_entropy(train.class_weights()))
    return module


def _figures(evaluation: dict[str, Any]) -> Figures:
    return {name: evaluation[name] for name in ("dataset", "images", "patients", "auc", "auc_low", "auc_high")}
