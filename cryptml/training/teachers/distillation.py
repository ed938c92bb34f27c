"""Learning from a teacher: its class probabilities, and which pictures it finds similar, hold more than the labels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryptml.errors import NetworkError
from cryptml.networks.modules.blocks import value_of
from cryptml.training.fit import Batch, Loss
from cryptml.training.settings import TrainingSettings
from cryptml.training.teachers.network_teacher import TrainedTeacher


def distillation_loss(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    weight: float,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Return ``(1 - a) * CE(student, labels) + a * T^2 * KL(teacher / T || student / T)``.

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2. The factor T^2 keeps the
    share of both terms in the gradient when the temperature T changes.

    Args:
        student: (batch, classes) float32 logits.
        teacher: (batch, classes) float32 logits.
        labels: (batch,) int64.
        temperature: T, above 0.
        weight: a, the teacher's share, 0 to 1.
        class_weights: (classes,) float32 of the cross entropy; all 1 if None.

    Returns:
        A scalar in nats, 0 or more.
    """
    hard = functional.cross_entropy(student, labels, weight=class_weights)
    soft = functional.kl_div(
        functional.log_softmax(student / temperature, dim=1),
        functional.log_softmax(teacher / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return (1 - weight) * hard + weight * temperature**2 * soft


def similarity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean square difference of how alike each sees the pictures of a batch.

    Tung and Mori, "Similarity-preserving knowledge distillation", 2019: the rows of ``F F^T`` for features F, each of length 1, say
    whom a picture resembles; no projection is needed where the two have features of different number.

    Args:
        student: (batch, any) float32.
        teacher: (batch, any) float32.

    Returns:
        A scalar, 0 to 4 / batch.
    """
    found, wanted = (functional.normalize(each @ each.T, dim=1) for each in (student.flatten(1), teacher.flatten(1)))
    return (found - wanted).square().mean()


class Features:
    """What the last linear layer of a module read at its latest forward pass.

    Args:
        module: With a linear layer, quantised or not; a hook stays on it until `close`.

    Raises:
        NetworkError: If it has none.
    """

    def __init__(self, module: nn.Module) -> None:
        layers = [each for each in module.modules() if isinstance(each, nn.Linear)]
        if not layers:
            raise NetworkError(
                f"a {type(module).__name__} without a linear layer has no features to imitate; set similarity_weight to 0"
            )
        self.latest = torch.empty(0)
        self._hook = layers[-1].register_forward_pre_hook(self._keep)

    def close(self) -> None:
        """Take the hook off."""
        self._hook.remove()

    def _keep(self, _layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.latest = value_of(inputs[0])


@contextmanager
def distil_from(
    teacher: TrainedTeacher, student: nn.Module, settings: TrainingSettings, class_weights: Tensor
) -> Iterator[Loss]:
    """Give the loss of a student that imitates a teacher on every view of every region.

    Args:
        teacher: Trained.
        student: To be trained while this lasts.
        settings: Temperature, and the weights of the teacher's outputs and of its features.
        class_weights: (classes,) float32.

    Raises:
        NetworkError: If features are to be imitated and one of the two has none.
    """
    imitated = [Features(each) for each in (student, teacher.module)] if settings.similarity_weight else []

    def loss(batch: Batch, logits: Tensor) -> Tensor:
        outputs = distillation_loss(
            logits,
            teacher.logits(batch),
            batch.labels,
            temperature=settings.temperature,
            weight=settings.distillation_weight,
            class_weights=class_weights,
        )
        if not imitated:
            return outputs
        found, shown = (each.latest for each in imitated)
        # Times the batch: the loss then weighs the same whatever the batch's size.
        return outputs + settings.similarity_weight * len(batch.labels) * similarity_loss(found, shown)

    try:
        yield loss
    finally:
        for each in imitated:
            each.close()
