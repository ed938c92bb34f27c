"""How a training reports what it has done, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable

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
