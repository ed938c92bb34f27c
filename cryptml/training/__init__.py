"""Quantisation-aware training, its float teacher, and how good the result is."""

import cryptml.networks.quiet  # noqa: F401 (before Brevitas)
from cryptml.datasets.description import DataDescription
from cryptml.training.cross_validation import CrossValidation, Fold, cross_validate, prepare_folds
from cryptml.training.evaluation.baseline import Baseline, fit_baseline
from cryptml.training.evaluation.fidelity import Fidelity, RoundingEffect, measure_fidelity
from cryptml.training.evaluation.judgement import Judgement, judge
from cryptml.training.evaluation.measures import Evaluation, Measures, evaluate, evaluate_probabilities
from cryptml.training.examples import Examples, predict_program
from cryptml.training.model_card import ModelCard, describe_layers, render_model_card
from cryptml.training.progress import Epoch, EpochProgress, History
from cryptml.training.qat import TrainedNetwork, check_convertible, train_network, untrained
from cryptml.training.recipes import recipe, recipe_behind
from cryptml.training.settings import TrainingSettings
from cryptml.training.teachers.network_teacher import TrainedTeacher, build_teacher, teacher_epochs, train_teacher
from cryptml.training.teachers.pretraining import Pretrained, pretrain

__all__ = [
    "Baseline",
    "CrossValidation",
    "DataDescription",
    "Epoch",
    "EpochProgress",
    "Evaluation",
    "Examples",
    "Fidelity",
    "Fold",
    "History",
    "Judgement",
    "Measures",
    "ModelCard",
    "Pretrained",
    "RoundingEffect",
    "TrainedNetwork",
    "TrainedTeacher",
    "TrainingSettings",
    "build_teacher",
    "check_convertible",
    "cross_validate",
    "describe_layers",
    "evaluate",
    "evaluate_probabilities",
    "fit_baseline",
    "judge",
    "measure_fidelity",
    "predict_program",
    "prepare_folds",
    "pretrain",
    "recipe",
    "recipe_behind",
    "render_model_card",
    "teacher_epochs",
    "train_network",
    "train_teacher",
    "untrained",
]
