"""Learning from a teacher: its probabilities say more than the labels do."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryptml.networks.architectures.blocks import value_of
from cryptml.training.fit import Loss
from cryptml.training.settings import TrainingSettings


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


def distil_from(teacher: nn.Module, settings: TrainingSettings, class_weights: Tensor) -> Loss:
    """Return the loss of a student that imitates a teacher on every view of every region.

    Args:
        teacher: Trained; put into evaluation mode here.
        settings: Temperature and weight of the teacher.
        class_weights: (classes,) float32.
    """
    teacher.eval()

    def loss(pictures: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = value_of(teacher(pictures))
        return distillation_loss(
            logits,
            wanted,
            labels,
            temperature=settings.temperature,
            weight=settings.distillation_weight,
            class_weights=class_weights,
        )

    return loss
