"""Cross-validation per patient: what training costs in accuracy, measured on pictures that no network has seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cryptml.datasets.base import Dataset, Indices
from cryptml.networks.architectures.registry import Architecture
from cryptml.networks.boundary import FloatArray
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR
from cryptml.training.evaluation.feature_baselines import fit_feature_baselines
from cryptml.training.evaluation.fidelity import (
    REPEATS,
    RoundingEffect,
    compare_answers,
    rounding_places,
    simulate_evaluations,
)
from cryptml.training.evaluation.measures import Evaluation, evaluate_probabilities
from cryptml.training.evaluation.paired import PairedDifference, paired_difference
from cryptml.training.examples import Examples, predict_program
from cryptml.training.progress import EpochProgress, later
from cryptml.training.qat import train_network
from cryptml.training.settings import TrainingSettings
from cryptml.training.teachers.network_teacher import TrainedTeacher, teacher_epochs, train_teacher

NETWORK, TEACHER = "network", "float teacher"
"""Names of predictions."""

INNER_PARTS = 6
"""One of so many parts of the training pictures tells the best epoch."""


@dataclass(frozen=True)
class CrossValidation:
    """Predictions for every picture by a network that was trained without its patient.

    Attributes:
        folds: How many networks were trained.
        quantised: Of the integer programs' predictions, all folds pooled.
        teacher: Of the float teachers' predictions on the same folds, pooled.
        settings: Of every training.
        rounding: Simulated encrypted answers against those in the clear, all layers on the server, on every picture by the network that
            has not seen it; None where nothing is rounded.
        p_error: Of the simulation.
        predicted: Probabilities (n, classes) float32 of every picture by what was trained without its patient, by name: `NETWORK`,
            `TEACHER` and the baselines of `cryptml.training.evaluation.feature_baselines`. Not in `to_json`.
        aucs: Of the integer programs, for the seed of ``settings`` and those after it.
        differences: To the teachers and to the baselines, over all these seeds.
    """

    folds: int
    quantised: Evaluation
    teacher: Evaluation
    settings: TrainingSettings
    rounding: RoundingEffect | None
    p_error: float
    predicted: Mapping[str, FloatArray] = field(default_factory=dict, compare=False, repr=False)
    aucs: tuple[float, ...] = ()
    differences: tuple[PairedDifference, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "folds": self.folds,
            "settings": self.settings.to_json(),
            "quantised": self.quantised.to_json(),
            "teacher": self.teacher.to_json(),
            "rounding": None if self.rounding is None else dataclasses.asdict(self.rounding),
            "p_error": self.p_error,
            "aucs": list(self.aucs),
            "differences": [each.to_json() for each in self.differences],
        }


@dataclass(frozen=True, eq=False)
class Fold:
    """One part of the data held out, and what may be learned from the rest.

    Attributes:
        rest: Positions of the pictures to learn from.
        held_out: Positions of the pictures that nothing trained on the others has seen.
        teacher: Trained on the rest.
    """

    rest: Indices
    held_out: Indices
    teacher: TrainedTeacher


def prepare_folds(
    examples: Examples, folds: int, settings: TrainingSettings, progress: EpochProgress | None = None
) -> tuple[Fold, ...]:
    """Cut the folds and train their teachers, once for any number of networks with the same front end.

    Each patient's pictures are in one fold. The part of a fold that tells the best epoch, where the settings ask for it, is taken in the
    same way from its training pictures, never from the held-out part. The data set's own subsets are not looked at.

    Args:
        examples: All pictures, behind a front end.
        folds: 2 to the number of patients.
        settings: Of the teachers; the seed also cuts the folds. Teachers are trained even if they do not distil.
        progress: Hears of every epoch of all teachers.

    Raises:
        DatasetError: If the folds are out of bounds, or a class does not occur in the training part of one.
        NetworkError: If a training diverges.
    """
    pairs = examples.dataset.folds(folds, settings.seed)
    each, prepared = teacher_epochs(settings), []
    for number, (rest, held_out) in enumerate(pairs):
        train, validation = _learning(examples, rest, settings)
        report = later(progress, done=each * number, total=each * len(pairs))
        prepared.append(Fold(rest, held_out, train_teacher(train, validation, settings, report)))
    return tuple(prepared)


def cross_validate(
    architecture: Architecture,
    examples: Examples,
    prepared: Sequence[Fold],
    settings: TrainingSettings,
    progress: EpochProgress | None = None,
    p_error: float = DEFAULT_P_ERROR,
) -> CrossValidation:
    """Train a quantised network for every fold, and pool what networks and teachers predict for the held-out parts.

    Args:
        architecture: What to train.
        examples: All pictures, behind the architecture's front end.
        prepared: Of `prepare_folds`, from the same examples.
        settings: Of every training.
        progress: Hears of every epoch of all trainings.
        p_error: For which encrypted answers are simulated; training adds the noise of `DEFAULT_P_ERROR` whatever it is.

    Raises:
        NetworkError: If the network cannot be cut or compiled, or a training diverges.
    """
    dataset = examples.dataset
    quantised = np.zeros((len(dataset), len(dataset.classes)), np.float32)
    floats = np.zeros_like(quantised)
    noisy = np.zeros((REPEATS, *quantised.shape), np.float32)
    baselines: dict[str, FloatArray] = {}
    rounds = None
    total = settings.epochs * len(prepared)
    for number, fold in enumerate(prepared):
        report = later(progress, done=settings.epochs * number, total=total)
        train, validation = _learning(examples, fold.rest, settings)
        trained = train_network(architecture, train, validation, settings, report, fold.teacher)
        test, network = examples.take(fold.held_out), trained.network
        quantised[fold.held_out] = predict_program(network, test.inputs[:, 0])
        places = rounding_places(network)
        rounds = rounds or (network.layers[places[0]].name if places else None)
        values = network.boundaries[0].quantise(test.inputs[:, 0].numpy())
        noisy[:, fold.held_out] = simulate_evaluations(network, values, p_error) if places else quantised[fold.held_out]
        floats[fold.held_out] = fold.teacher.predict(test)
        rows = [each.inputs[:, 0].flatten(1).numpy() for each in (examples.take(fold.rest), test)]
        for name, fitted in fit_feature_baselines(rows[0], dataset.take(fold.rest)).items():
            baselines.setdefault(name, np.zeros_like(quantised))[fold.held_out] = fitted(rows[1])
    return CrossValidation(
        len(prepared),
        evaluate_probabilities(quantised, dataset, settings.seed),
        evaluate_probabilities(floats, dataset, settings.seed),
        settings,
        compare_answers(rounds, quantised, noisy, dataset.labels, dataset.positive_label) if rounds else None,
        p_error,
        {NETWORK: quantised, TEACHER: floats, **baselines},
    )


def summarise(repeats: Sequence[CrossValidation], dataset: Dataset) -> CrossValidation:
    """Return the first of several cross-validations, each with another seed, with what all of them say.

    Args:
        repeats: One or more, of `cross_validate`.
        dataset: That they are of.
    """
    first = repeats[0]
    ours = [each.predicted[NETWORK] for each in repeats]
    others = [name for name in first.predicted if name != NETWORK]
    return dataclasses.replace(
        first,
        aucs=tuple(each.quantised.auc for each in repeats),
        differences=tuple(
            paired_difference(name, ours, [each.predicted[name] for each in repeats], dataset, first.settings.seed)
            for name in others
        ),
    )


def _learning(examples: Examples, rest: Indices, settings: TrainingSettings) -> tuple[Examples, Examples | None]:
    """Return what networks learn from, and what tells their best epoch where the settings ask for it."""
    train = examples.take(rest)
    return inner_split(train, settings.seed) if settings.keep == "best" else (train, None)


def inner_split(examples: Examples, seed: int) -> tuple[Examples, Examples]:
    """Cut a training part, each patient's pictures together, into what is trained on (about 5/6) and what tells the best epoch.

    Raises:
        DatasetError: If there are fewer than two patients.
    """
    dataset = examples.dataset
    parts = max(2, min(INNER_PARTS, len(set(dataset.patients))))
    learning, judging = dataset.folds(parts, seed)[0]
    return examples.take(learning), examples.take(judging)
