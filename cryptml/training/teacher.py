"""The float teacher: the accuracy that a small network reaches before anything is quantised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from cryptml.training.examples import Examples
from cryptml.training.fit import History, balanced_cross_entropy, fit, seeded
from cryptml.training.progress import Progress
from cryptml.training.settings import TrainingSettings

WIDTHS = (12, 24, 24)
"""Channels of the three convolutions."""

DROPOUT = 0.3
_SMALLEST_MAP = 4


@dataclass(frozen=True, eq=False)
class TrainedTeacher:
    """A float network and how it came about.

    Attributes:
        module: From standardised (batch, 1, side, side) to logits (batch, classes), in evaluation mode.
        history: Of its training.
    """

    module: nn.Module
    history: History


def build_teacher(side: int, classes: int, widths: Sequence[int] = WIDTHS) -> nn.Sequential:
    """Return an untrained float CNN for (batch, 1, side, side) regions.

    Each block is a 3x3 convolution, batch normalisation and ReLU; between blocks the map is halved by max pooling as long
    as 4 or more rows are left (sides from 16 up are halved twice, 8 to 15 once, smaller ones never).

    Args:
        side: In pixels, 1 or more.
        classes: Number of logits.
        widths: Channels of each block.
    """
    blocks: list[nn.Module] = []
    before = 1
    for width in widths:
        if blocks and side // 2 >= _SMALLEST_MAP:
            blocks.append(nn.MaxPool2d(2))
            side //= 2
        blocks += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        before = width
    return nn.Sequential(
        *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(DROPOUT), nn.Linear(before, classes)
    )


def train_teacher(
    train: Examples, validation: Examples, settings: TrainingSettings, progress: Progress | None = None
) -> TrainedTeacher:
    """Train a float teacher on the pictures, whatever front end the examples have.

    Args:
        train: What it learns from.
        validation: What tells the best epoch; no patient of ``train``.
        settings: The distillation settings are not used.
        progress: Hears of every epoch.

    Raises:
        DatasetError: If a class does not occur in one of the sets.
        NetworkError: If the training diverges.
    """
    train.require_every_class()
    validation.require_every_class()
    with seeded(settings.seed):
        module = build_teacher(train.dataset.side, train.classes)
    loss = balanced_cross_entropy(train.class_weights())
    history = fit(module, train.for_teacher(), validation.for_teacher(), settings, loss, progress)
    return TrainedTeacher(module, history)
