"""Float teachers: the accuracy that small networks reach before anything is quantised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from cryptml.networks.boundary import FloatArray
from cryptml.training.examples import BATCH, Examples
from cryptml.training.fit import Batch, balanced_cross_entropy, fit, seeded
from cryptml.training.progress import EpochProgress, History, later
from cryptml.training.settings import MOST_EPOCHS, TrainingSettings
from cryptml.training.teachers.kernel_teacher import fit_kernel_machine

WIDTHS = (12, 24, 24)
"""Channels of the three convolutions."""

DROPOUT = 0.3
_SMALLEST_MAP = 4

MEMBERS = 3
"""Networks of a committee."""

HIDDEN = 64
"""Neurons of each."""

MEMBER_DROPOUT = (0.3, 0.5)
"""Of the inputs, and of the neurons."""

MEMBER_EPOCHS = 2
"""Epochs of each for one of the student: so much dropout takes long to learn with."""


@dataclass(frozen=True, eq=False)
class TrainedTeacher:
    """A float network and how it came about.

    Attributes:
        module: From what it reads to logits (batch, classes), in evaluation mode.
        histories: Of its training, or of each member's; none where it was fitted at once.
        reads: ``pictures`` (batch, 1, side, side), standardised; ``inputs``, what the front end makes of them; or ``both``, inputs
            first.
    """

    module: nn.Module
    histories: tuple[History, ...]
    reads: Literal["pictures", "inputs", "both"]

    def logits(self, batch: Batch) -> Tensor:
        """Return its logits (batch, classes), without gradients."""
        with torch.no_grad():
            return self._ask(batch.inputs, batch.pictures)

    def predict(self, examples: Examples) -> FloatArray:
        """Return its probabilities (n, classes) float32 for the regions as they are."""
        parts = [torch.split(each[:, 0], BATCH) for each in (examples.inputs, examples.pictures)]
        with torch.no_grad():
            rows = [self._ask(*part).softmax(dim=1).numpy() for part in zip(*parts, strict=True)]
        return np.concatenate(rows).astype(np.float32)

    def _ask(self, inputs: Tensor, pictures: Tensor) -> Tensor:
        read = {"pictures": (pictures,), "inputs": (inputs,), "both": (inputs, pictures)}[self.reads]
        logits: Tensor = self.module(*read)
        return logits


class Committee(nn.Module):
    """The mean of its members' logits."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, classes) logits."""
        return torch.stack([member(x) for member in self.members]).mean(0)


class Panel(nn.Module):
    """The mean of a committee's logits and a kernel machine's.

    Args:
        committee: Reads what the front end makes of pictures.
        machine: Reads pictures.
        machine_scale: What the machine's logits, in margins, are multiplied by.
    """

    def __init__(self, committee: nn.Module, machine: nn.Module, machine_scale: float) -> None:
        super().__init__()
        self.committee = committee
        self.machine = machine
        self.machine_scale = machine_scale

    def forward(self, inputs: Tensor, pictures: Tensor) -> Tensor:
        """Return (batch, classes) logits."""
        heard: Tensor = (self.committee(inputs) + self.machine_scale * self.machine(pictures)) / 2
        return heard


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


def build_member(shape: Sequence[int], classes: int) -> nn.Sequential:
    """Return an untrained float network of one hidden layer for (batch, *shape) inputs, standardised all together.

    One deviation for all keeps what their own say: a front end's strong features weigh more than its weak ones.
    """
    dropped, silenced = MEMBER_DROPOUT
    return nn.Sequential(
        nn.Flatten(),
        nn.Unflatten(1, (1, -1)),
        nn.BatchNorm1d(1, affine=False),
        nn.Flatten(),
        nn.Dropout(dropped),
        nn.Linear(math.prod(shape), HIDDEN),
        nn.BatchNorm1d(HIDDEN),
        nn.ReLU(),
        nn.Dropout(silenced),
        nn.Linear(HIDDEN, classes),
    )


def teacher_epochs(settings: TrainingSettings) -> int:
    """Return the most epochs that training a teacher takes, all members together; 1 where it is fitted at once."""
    members = MEMBERS * _member_epochs(settings)
    return {"kernel": 1, "committee": members, "panel": members, "convolutional": settings.epochs}[settings.teacher]


def _member_epochs(settings: TrainingSettings) -> int:
    return min(MEMBER_EPOCHS * settings.epochs, MOST_EPOCHS)


def train_teacher(
    train: Examples, validation: Examples | None, settings: TrainingSettings, progress: EpochProgress | None = None
) -> TrainedTeacher:
    """Train the float teacher that the settings name.

    Args:
        train: What it learns from.
        validation: What tells the best epoch; no patient of ``train``. The last epoch is kept if None.
        settings: The distillation settings are not used.
        progress: Hears of every epoch.

    Raises:
        DatasetError: If a class does not occur in one of the sets.
        NetworkError: If the training diverges.
    """
    train.require_every_class()
    if validation is not None:
        validation.require_every_class()
    if settings.teacher == "kernel":
        machine = fit_kernel_machine(train)
        if progress is not None:
            progress(1, 1, 0.0, None)
        return TrainedTeacher(machine, (), reads="pictures")
    loss = balanced_cross_entropy(train.class_weights())
    if settings.teacher == "convolutional":
        with seeded(settings.seed):
            module = build_teacher(train.dataset.side, train.classes)
        judge = None if validation is None else validation.for_teacher()
        history = fit(module, train.for_teacher(), judge, settings, loss, progress)
        return TrainedTeacher(module, (history,), reads="pictures")
    members, histories = [], []
    for number in range(MEMBERS):
        own = replace(settings, seed=(settings.seed + number) % 2**32, epochs=_member_epochs(settings))
        with seeded(own.seed):
            members.append(build_member(train.inputs.shape[2:], train.classes))
        report = later(progress, done=number * own.epochs, total=MEMBERS * own.epochs)
        histories.append(fit(members[-1], train, validation, own, loss, report))
    committee = Committee(members).eval()
    if settings.teacher == "committee":
        return TrainedTeacher(committee, tuple(histories), reads="inputs")
    machine = fit_kernel_machine(train)
    spread = _spread(machine, train.pictures)
    machine_scale = _spread(committee, train.inputs) / spread if spread else 0.0  # pictures that it cannot tell apart
    return TrainedTeacher(Panel(committee, machine, machine_scale).eval(), tuple(histories), reads="both")


def _spread(module: nn.Module, values: Tensor) -> float:
    """Return the deviation of a float module's logits around their mean over classes, for first views."""
    with torch.no_grad():
        logits = torch.cat([module(part) for part in torch.split(values[:, 0], BATCH)])
    return float((logits - logits.mean(dim=1, keepdim=True)).std())
