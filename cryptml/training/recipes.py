"""How each shipped architecture is trained where its user does not say otherwise."""

from __future__ import annotations

from dataclasses import replace

from cryptml.errors import NetworkError
from cryptml.networks.architectures.registry import Architecture
from cryptml.networks.front_ends import Backbone, Deep, FrontEnd, Joined, Scattering, Squares, Standardisation, Views
from cryptml.training.settings import TrainingSettings

_BEHIND_FEATURES = TrainingSettings(
    epochs=180,
    batch=128,
    learning_rate=3e-3,
    weight_decay=0.1,
    keep="last",
    teacher="kernel",
    temperature=2.0,
    distillation_weight=0.9,
)

_BEHIND_PICTURES = replace(_BEHIND_FEATURES, epochs=500, learning_rate=5e-3, weight_decay=0.05, views=40)

RECIPES = {
    "conv": _BEHIND_PICTURES,
    "deep": _BEHIND_FEATURES,
    "line": TrainingSettings(
        epochs=20,
        batch=128,
        learning_rate=1e-5,
        weight_decay=0.0,
        views=8,
        keep="last",
        distil=False,
        teacher="kernel",
        start="linear",
    ),
    "reference": _BEHIND_PICTURES,
    "scatter": replace(_BEHIND_FEATURES, teacher="panel"),
}
"""Settings by the architecture's name; others take those of `TrainingSettings`, without a teacher."""

BEHIND = {
    Scattering.kind: "scatter",
    Deep.kind: "deep",
    Joined.kind: "deep",
    Backbone.kind: "deep",
    Squares.kind: "deep",
    Standardisation.kind: "reference",
    Views.kind: "reference",
}
"""Whose settings designs take, by what is before them."""

RANGE_WEIGHT = {
    Scattering.kind: 10.0,
    Deep.kind: 10.0,
    Joined.kind: 10.0,
    Backbone.kind: 10.0,
    Squares.kind: 10.0,
    Standardisation.kind: 1.0,
    Views.kind: 1.0,
}
"""For designs, whose tables may have a range; negacyclic ones, which all of these networks have, do not look at it."""


def recipe(architecture: Architecture) -> TrainingSettings:
    """Return the settings that an architecture was tuned with, never on test data; a design has those of its front end.

    Raises:
        NetworkError: If it is to be trained as a network that there is none of.
    """
    if architecture.is_design:
        return recipe_behind(architecture.front_end)
    if architecture.trained_as is not None and architecture.trained_as not in RECIPES:
        raise NetworkError(
            f"network {architecture.spec!r} is to be trained as {architecture.trained_as!r}, which is none of {', '.join(RECIPES)}; name "
            "one of these in its attribute trained_as, or leave that out"
        )
    return RECIPES.get(architecture.trained_as or architecture.spec, TrainingSettings(distil=False))


def recipe_behind(front_end: FrontEnd) -> TrainingSettings:
    """Return the settings of designs behind a front end."""
    return replace(RECIPES[BEHIND[front_end.kind]], range_weight=RANGE_WEIGHT[front_end.kind])
