"""How each shipped architecture is trained where its user does not say otherwise."""

from __future__ import annotations

from dataclasses import replace

from cryptml.networks.architectures.registry import Architecture
from cryptml.networks.front_ends import Deep, Scattering
from cryptml.training.settings import TrainingSettings

RECIPES = {
    "conv": TrainingSettings(
        teacher="kernel",
        epochs=500,
        batch=128,
        learning_rate=5e-3,
        weight_decay=0.05,
        keep="last",
        views=40,
        temperature=2.0,
        distillation_weight=0.9,
    ),
    "deep": TrainingSettings(
        epochs=180,
        batch=128,
        learning_rate=3e-3,
        weight_decay=0.1,
        keep="last",
        teacher="kernel",
        temperature=2.0,
        distillation_weight=0.9,
    ),
    "reference": TrainingSettings(range_weight=1.0),
    "scatter": TrainingSettings(
        epochs=180,
        batch=128,
        learning_rate=3e-3,
        weight_decay=0.1,
        keep="last",
        teacher="committee",
        temperature=2.0,
        distillation_weight=0.9,
    ),
}
"""Settings by the architecture's name; others take those of `TrainingSettings`, without a teacher."""


RANGE_WEIGHT = 10.0
"""For designs behind such front ends, whose tables may have a range; waves have none."""

BEHIND = {Scattering.kind: "scatter", Deep.kind: "deep"}
"""Whose settings designs take behind front ends that give features."""


def recipe(architecture: Architecture) -> TrainingSettings:
    """Return the settings that an architecture was tuned with, never on test data; a design has those of its front end."""
    if architecture.is_design:
        tuned = RECIPES[BEHIND.get(architecture.front_end.kind, "reference")]
        return replace(tuned, range_weight=tuned.range_weight or RANGE_WEIGHT)
    return RECIPES.get(architecture.spec, TrainingSettings(distil=False))
