"""How to train: every number that the result depends on, checked once."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from cryptml.datasets.base import AUGMENTATIONS
from cryptml.errors import SettingError

MOST_EPOCHS = 10_000


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of one training run; the same settings and data give the same network.

    Attributes:
        epochs: Most passes over the training set, 1 to 10000.
        batch: Regions a step, 2 to 4096; batch normalisation has no statistics of a single one.
        learning_rate: Highest rate of the one-cycle schedule, 1e-8 to 1.
        weight_decay: Of AdamW, 0 to 1.
        patience: Epochs without a better validation AUC before the training stops, 1 to 10000.
        keep: ``best`` keeps the weights of the epoch that did best on validation pictures, ``last`` those of the last epoch; a
            cross-validation then needs no validation pictures, and trains on all that a fold leaves it.
        seed: Of initial weights, dropout, order and augmentation, 0 to 2^32 - 1.
        views: Variants of each region, itself among them, that the epochs choose from, 1 (no augmentation) to 1024.
        augmentation: What variants may differ in, one of `cryptml.datasets.base.AUGMENTATIONS`; the data set's own if None.
        distil: Whether a float teacher is trained first, for the quantised network to imitate.
        teacher: ``convolutional`` reads pictures, ``committee`` what the front end makes of them
            (`cryptml.training.teachers.network_teacher`), ``kernel`` deep features of pictures
            (`cryptml.training.teachers.kernel_teacher`), ``panel`` both of these, equally loud.
        temperature: What logits are divided by before teacher and student are compared, 0.1 to 100.
        distillation_weight: Share of the teacher's outputs in the loss, 0 (labels alone) to 1 (teacher alone).
        range_weight: Weight of how far rounded accumulators reach beyond the bulk of their values, 0 to 1000.
        similarity_weight: Weight of the teacher's features in the loss, 0 (not looked at) to 100.
        start: ``random`` weights, or ``linear``: those of a logistic regression (`cryptml.training.teachers.linear_start`), for heads of
            negacyclic activations.
        lowered_bits: Bits that weights and activations are wider by when the training begins, and lose one after the other in its first
            half (`cryptml.training.lowering`), 0 to 6.

    Raises:
        SettingError: If any value is out of bounds, naming every such value.
    """

    epochs: int = 60
    batch: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    patience: int = 40
    keep: str = "best"
    seed: int = 0
    views: int = 24
    augmentation: str | None = None
    distil: bool = True
    teacher: str = "convolutional"
    temperature: float = 3.0
    distillation_weight: float = 0.7
    similarity_weight: float = 0.0
    range_weight: float = 0.0
    lowered_bits: int = 0
    start: str = "random"

    def __post_init__(self) -> None:
        problems = [
            *(_problem(name, getattr(self, name), bounds, whole=True) for name, bounds in _WHOLE.items()),
            *(_problem(name, getattr(self, name), bounds, whole=False) for name, bounds in _REAL.items()),
        ]
        if not isinstance(self.distil, bool):
            problems.append(f"distil is {self.distil!r} where True or False is needed")
        if self.teacher != "convolutional" and self.similarity_weight:
            problems.append(
                f"similarity_weight is above 0 where a {self.teacher} teacher has no features of its own; choose another teacher"
            )
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                problems.append(
                    f"{name} is {getattr(self, name)!r} where {' or '.join(each for each in choices if each)} is needed"
                )
        found = [problem for problem in problems if problem]
        if found:
            raise SettingError(f"the training settings cannot be used: {'; '.join(found)}; correct them")

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return dataclasses.asdict(self)


_WHOLE = {
    "epochs": (1, MOST_EPOCHS),
    "batch": (2, 4096),
    "patience": (1, 10_000),
    "seed": (0, 2**32 - 1),
    "views": (1, 1024),
    "lowered_bits": (0, 6),
}
_CHOICES: dict[str, tuple[str | None, ...]] = {
    "augmentation": (None, *AUGMENTATIONS),
    "keep": ("best", "last"),
    "start": ("random", "linear"),
    "teacher": ("convolutional", "committee", "kernel", "panel"),
}
_REAL = {
    "learning_rate": (1e-8, 1.0),
    "weight_decay": (0.0, 1.0),
    "temperature": (0.1, 100.0),
    "distillation_weight": (0.0, 1.0),
    "similarity_weight": (0.0, 100.0),
    "range_weight": (0.0, 1000.0),
}


def _problem(name: str, value: object, bounds: tuple[float, float], *, whole: bool) -> str:
    """Say what is wrong with a setting; nothing where it keeps its bounds, both of which are allowed."""
    low, high = bounds
    kinds = (int,) if whole else (int, float)
    usable = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
    if usable and isinstance(value, (int, float)) and low <= value <= high:
        return ""
    kind = "a whole number" if whole else "a number"
    return f"{name} is {value!r} where {kind} from {low} to {high} is needed"
