"""What a training has done, by epochs, and how it reports them without knowing who listens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cryptml.listening import Listener

EpochProgress = Callable[[int, int, float, float | None], None]
"""Called after each epoch with its number (from 1), the number of epochs in all, the mean training loss and the
validation AUC (None without validation examples). Numbers go up but may leap, where a training stops early and another follows."""


def later(progress: EpochProgress | None, *, done: int, total: int) -> EpochProgress | None:
    """Return a progress for one of several trainings in a row.

    Args:
        progress: Hears of all of them; nobody does if None.
        done: Epochs set aside for the trainings before.
        total: Epochs set aside for all.
    """
    if progress is None:
        return None

    def report(epoch: int, _epochs: int, loss: float, validation_auc: float | None) -> None:
        progress(done + epoch, total, loss, validation_auc)

    return report


@dataclass(frozen=True)
class Epoch:
    """One pass over the training set.

    Attributes:
        number: From 1.
        loss: Mean over the regions trained on.
        validation_auc: After the pass, 0 to 1; None without validation examples.
    """

    number: int
    loss: float
    validation_auc: float | None


@dataclass(frozen=True)
class History:
    """What happened in one training.

    Attributes:
        epochs: In order; fewer than the settings allow where the training stopped early.
        best: Number of the epoch whose weights were kept.
    """

    epochs: tuple[Epoch, ...]
    best: int

    @property
    def best_auc(self) -> float | None:
        """Validation AUC of the weights that were kept; None without validation examples."""
        return self.epochs[self.best - 1].validation_auc

    def to_json(self) -> dict[str, Any]:
        """Return the history as JSON values."""
        return {
            "best": self.best,
            "epochs": [
                {"number": epoch.number, "loss": epoch.loss, "validation_auc": epoch.validation_auc}
                for epoch in self.epochs
            ],
        }


@contextmanager
def epochs_bar(listener: Listener, what: str, total: int) -> Iterator[EpochProgress]:
    """Show epochs in a bar, with loss and validation AUC."""
    with listener.bar(what, total) as bar:

        def report(epoch: int, epochs: int, loss: float, validation_auc: float | None) -> None:
            text = f"{what}: loss {loss:.3f}"
            if validation_auc is not None:
                text += f", validation AUC {validation_auc:.3f}"
            bar(epoch, epochs, text)

        yield report


def telling_time(progress: EpochProgress, epochs: int, trainings: int, listener: Listener) -> EpochProgress:
    """Say after the first training how long the others will take."""
    begun = time.monotonic()

    def report(epoch: int, of: int, loss: float, validation_auc: float | None) -> None:
        progress(epoch, of, loss, validation_auc)
        if epoch == epochs:
            seconds = time.monotonic() - begun
            listener.remark(
                f"one training takes {seconds:.0f} s without its teacher, the {trainings - 1} others some "
                f"{(trainings - 1) * seconds / 60:.0f} minutes"
            )

    return report
