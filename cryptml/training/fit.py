"""The training loop, one for float teachers and quantised students."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryptml.errors import NetworkError
from cryptml.networks.modules import module_state
from cryptml.networks.modules.blocks import value_of
from cryptml.networks.modules.rounded_accumulator import BinnedAccumulator
from cryptml.training.checkpoints.state import Running, read_numbers, require_part, split_state
from cryptml.training.checkpoints.store import next_slot
from cryptml.training.evaluation.auc import RocAuc
from cryptml.training.examples import Examples, predict
from cryptml.training.lowering import Lowering
from cryptml.training.progress import Epoch, EpochProgress, History
from cryptml.training.settings import TrainingSettings

WARM_UP = 0.2
"""Share of the steps in which the learning rate rises."""

LARGEST_GRADIENT = 1.0
"""Euclidean norm to which the gradient of all weights together is clipped."""

_FEWEST_STEPS = 10
"""Shorter schedules have no step to rise in."""


@dataclass(frozen=True, eq=False)
class Batch:
    """One view each of some regions.

    Attributes:
        inputs: (batch, *shape) float32, behind the front end: what the network reads.
        pictures: (batch, 1, side, side) float32, standardised.
        labels: (batch,) int64.
    """

    inputs: Tensor
    pictures: Tensor
    labels: Tensor


Loss = Callable[[Batch, Tensor], Tensor]
"""From what was read and the logits (batch, classes) that came of it to a scalar."""


SMOOTHING = 8
"""Epochs over which the validation AUC is averaged before it is compared."""

TIE = 1e-9
"""Means that differ by less are equal: the later epoch is kept, but patience does not begin anew."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's generator for a while, and give it back as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def balanced_cross_entropy(class_weights: Tensor) -> Loss:
    """Return the cross entropy in which every class counts as much as another, however rare it is.

    Args:
        class_weights: (classes,) float32, of `Examples.class_weights`.
    """

    def loss(batch: Batch, logits: Tensor) -> Tensor:
        return functional.cross_entropy(logits, batch.labels, weight=class_weights)

    return loss


def fit(
    module: nn.Module,
    train: Examples,
    validation: Examples | None,
    settings: TrainingSettings,
    loss: Loss,
    progress: EpochProgress | None = None,
) -> History:
    """Train a module in place and leave it with the weights of its best epoch, or its last, in evaluation mode.

    The best epoch is the latest with the highest mean validation AUC over the last `SMOOTHING` epochs: on a few dozen patients the
    AUC of a single epoch is mostly noise, and the schedule makes late weights the better ones. Epochs before the module computes
    what it will in the end (`BinnedAccumulator.advance`, `Lowering`) do not count.

    AdamW (Loshchilov and Hutter, 2019), which leaves biases and scales as they are, on a one-cycle schedule (Smith and Topin, 2019),
    gradients clipped. Nothing random comes from, or is left in, torch's global generator.

    Args:
        module: From (batch, *shape of its front end) to logits (batch, classes), as a tensor or a Brevitas quantised tensor.
        train: What it learns from, in each epoch one view of every region.
        validation: What tells the best epoch; no patient of ``train``. The last epoch is kept if None.
        settings: Epochs, batch, rates, patience, what to keep, and seed.
        loss: What to minimise.
        progress: Hears of every epoch.

    Raises:
        NetworkError: If the loss stops being a finite number.
    """
    state = _Fit(module, train, settings, loss, by_validation=validation is not None and settings.keep == "best")
    kept = next_slot()
    with seeded(settings.seed):
        earlier = kept.load()
        if earlier is not None:
            state.resume(earlier)
            _tell(progress, state.epochs, settings)
        while not state.ended:
            number = len(state.epochs) + 1
            mean = state.train_epoch(number)
            auc = None if validation is None else _auc(module, validation)
            state.epochs.append(Epoch(number, mean, auc))
            _tell(progress, state.epochs, settings)
            state.judge(number, auc)
            kept.keep(number, state.take, ended=state.ended)
    return state.finish()


def _tell(progress: EpochProgress | None, epochs: list[Epoch], settings: TrainingSettings) -> None:
    if progress is not None:
        progress(epochs[-1].number, settings.epochs, epochs[-1].loss, epochs[-1].validation_auc)


class _Fit:
    """One training: optimiser and schedule, and which epoch has been the best."""

    def __init__(
        self, module: nn.Module, train: Examples, settings: TrainingSettings, loss: Loss, *, by_validation: bool
    ) -> None:
        self._module, self._train, self._settings, self._loss = module, train, settings, loss
        self._generator = torch.Generator().manual_seed(settings.seed)
        matrices = [each for each in module.parameters() if each.ndim > 1]
        others = [each for each in module.parameters() if each.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self._optimiser = torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.learning_rate)
        self._rounding = [each for each in module.modules() if isinstance(each, BinnedAccumulator)]
        self._lowering = Lowering(module, settings.lowered_bits)
        self._by_validation = by_validation
        steps = settings.epochs * len(_batches(torch.arange(len(train.labels)), settings.batch))
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, settings.learning_rate, total_steps=max(steps, _FEWEST_STEPS), pct_start=WARM_UP
        )
        self.epochs: list[Epoch] = []
        self._counted: list[float] = []
        self._best, self._gained, self._best_smooth, self.ended = 0, 0, -math.inf, False
        self._weights = module_state.take(module)
        self._running = Running(module, self._optimiser, self._schedule, self._generator)

    def take(self) -> dict[str, Tensor]:
        """Return all that the next epoch depends on, and what was found so far; see `resume`."""
        judged = {
            "losses": [each.loss for each in self.epochs],
            "aucs": [math.nan if each.validation_auc is None else each.validation_auc for each in self.epochs],
            "counted": self._counted,
            "judged": [self._best, self._gained, self._best_smooth, self.ended],
        }
        weights = {f"best.{name}": tensor.contiguous() for name, tensor in self._weights.items()}
        numbers = {f"fit.{name}": torch.tensor(each, dtype=torch.float64) for name, each in judged.items()}
        return self._running.take() | weights | numbers

    def resume(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on where `take` was called.

        Raises:
            JournalError: If the tensors are not of this training.
        """
        self._module.train()
        with torch.no_grad():
            self._module(self._train.inputs[:2, 0])  # settles the shapes of scales
        numbers, rest = split_state(tensors, "fit.")
        weights, state = split_state(rest, "best.")
        losses, aucs, counted, judged = read_numbers(numbers, self._settings.epochs)
        self._running.put(state)
        require_part(weights, self._module, self._weights)
        self.epochs = [
            Epoch(number, loss, None if math.isnan(auc) else auc)
            for number, (loss, auc) in enumerate(zip(losses, aucs, strict=True), start=1)
        ]
        self._counted, self._weights = counted, weights
        self._best, self._gained, self._best_smooth = int(judged[0]), int(judged[1]), judged[2]
        self.ended = bool(judged[3])

    def train_epoch(self, number: int) -> float:
        """Train for one epoch, and return the mean loss.

        Raises:
            NetworkError: If it is no finite number.
        """
        settings = self._settings
        share = (number - 1) / (settings.epochs - 1) if settings.epochs > 1 else 1.0
        self._lowering.advance(share)
        for each in self._rounding:
            each.advance(share)
        mean = _train_epoch(
            self._module, self._train, settings, self._loss, self._optimiser, self._schedule, self._generator
        )
        if not math.isfinite(mean):
            raise NetworkError(
                f"the training loss became {mean} in epoch {number} of {settings.epochs} at a learning rate of "
                f"{settings.learning_rate:g} where a finite number is needed; choose a lower learning rate"
            )
        return mean

    def judge(self, number: int, auc: float | None) -> None:
        """Keep the weights if they are the best so far; the training has ended where nothing better is to be hoped for."""
        self.ended = number == self._settings.epochs
        final = self._lowering.done and all(each.active for each in self._rounding)
        if not self._by_validation or not final:
            self._best = self._gained = number
            return
        self._counted.append(auc or 0.0)
        smooth = sum(self._counted[-SMOOTHING:]) / len(self._counted[-SMOOTHING:])
        if smooth >= self._best_smooth - TIE:
            self._best, self._weights = number, module_state.take(self._module)
        if smooth > self._best_smooth + TIE:
            self._gained, self._best_smooth = number, smooth
        self.ended |= number - self._gained >= self._settings.patience

    def finish(self) -> History:
        """Give the module the weights that were kept, and return what happened."""
        for each in self._rounding:
            each.excess = torch.zeros(())  # lets go of the last batch
        if self._by_validation and self._best_smooth > -math.inf:
            module_state.restore(self._module, self._weights)
        self._module.eval()
        return History(tuple(self.epochs), self._best)


def _train_epoch(
    module: nn.Module,
    train: Examples,
    settings: TrainingSettings,
    loss: Loss,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.OneCycleLR,
    generator: torch.Generator,
) -> float:
    """Pass over the training set once and return the mean loss."""
    module.train()
    total, seen = 0.0, 0
    for indices in _batches(torch.randperm(len(train.labels), generator=generator), settings.batch):
        views = torch.randint(train.inputs.shape[1], indices.shape, generator=generator)
        batch = Batch(train.inputs[indices, views], train.pictures[indices, views], train.labels[indices])
        value = loss(batch, value_of(module(batch.inputs)))
        if settings.range_weight:
            value = value + settings.range_weight * sum(
                each.excess for each in module.modules() if isinstance(each, BinnedAccumulator)
            )
        optimiser.zero_grad()
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(module.parameters(), LARGEST_GRADIENT)
        optimiser.step()
        schedule.step()
        total, seen = total + float(value.detach()) * len(indices), seen + len(indices)
    return total / seen


def _batches(order: Tensor, size: int) -> list[Tensor]:
    """Return the batches of one pass; a single region left over waits, for it has no batch statistics."""
    return [batch for batch in torch.split(order, size) if len(batch) > 1]


def _auc(module: nn.Module, validation: Examples) -> float:
    dataset = validation.dataset
    found = predict(module, validation.inputs[:, 0])
    return RocAuc(validation.labels.numpy(), found, dataset.name, dataset.positive_label).value()
