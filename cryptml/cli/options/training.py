"""What ``cryptml train`` takes: the options of a `cryptml.training.request.TrainingRequest`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cryptml.cli.options.data import Augmentation
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR


@dataclass(frozen=True)
class TrainingOptions:
    """Options whose names are those of the request's attributes, but for ``augment`` and ``lower_bits``."""

    network: Annotated[
        str,
        typer.Option(
            help="deep, line or reference (which read 32 x 32 pixels), conv or scatter (28 x 28), a design's .json file, or "
            "module:function for your own; tiny (8 x 8) is the test network, worse than a logistic regression."
        ),
    ] = "reference"
    name: Annotated[
        str | None,
        typer.Option(
            help="What services and clients call the network: lower-case letters, digits, dashes; that of the folder if not given."
        ),
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0
    epochs: Annotated[int | None, typer.Option(min=1, help="Most passes over the training set.")] = None
    teacher: Annotated[
        bool | None, typer.Option("--teacher/--no-teacher", help="Distil from a float teacher, trained first.")
    ] = None
    teacher_kind: Annotated[
        str | None,
        typer.Option(help="convolutional, committee, kernel or panel; the network's own choice if not given."),
    ] = None
    views: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Variants of each picture to choose from, itself among them.")
    ] = None
    positive: Annotated[
        str | None,
        typer.Option(
            help="The class whose probability is reported, such as malignant. Default: with two classes the second in alphabetical order, "
            "with more none."
        ),
    ] = None
    augment: Annotated[
        Augmentation | None,
        typer.Option(
            help="What variants may differ in: symmetries (turned, mirrored, moved), mirror (mirrored, moved), shift (moved) or "
            "none; the data set's own choice if not given."
        ),
    ] = None
    similarity: Annotated[
        float | None,
        typer.Option(
            min=0, max=100, help="Weight of a convolutional teacher's features beside its outputs; 0 leaves them out."
        ),
    ] = None
    lower_bits: Annotated[
        int | None,
        typer.Option(min=0, max=6, help="Begin so many bits wider, and lose them one by one in the first half."),
    ] = None
    p_error: Annotated[
        float,
        typer.Option(
            help="Probability that one programmable bootstrap fails in circuits whose answers are simulated; trains the same.",
            show_default="2^-40",
        ),
    ] = DEFAULT_P_ERROR
    max_evaluate_ms: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="Most that one evaluation may take, all layers on the server: accumulators are rounded and bits lowered until the "
            "network fits, each change printed.",
        ),
    ] = None
    as_is: Annotated[
        bool,
        typer.Option(
            "--as-is", help="Change nothing of your own network: refuse it, with layer and width, if it does not build."
        ),
    ] = False
    profile: Annotated[
        list[Path] | None,
        typer.Option(
            help="Profile measured on the machine whose time counts; may be given again. Default: the recorded ones."
        ),
    ] = None
    folds: Annotated[
        int, typer.Option(min=0, help="Also cross-validate, per patient where known, teacher beside network.")
    ] = 0
    repeats: Annotated[
        int, typer.Option(min=1, max=100, help="Cross-validate so often, with the seed and those after it.")
    ] = 1
    refit: Annotated[
        bool | None,
        typer.Option(
            "--refit/--no-refit",
            help="Train the network itself on all pictures, the cross-validation being its estimate; the default with --folds for "
            "networks that keep their last epoch.",
        ),
    ] = None
