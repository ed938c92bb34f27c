"""``cryptml train``: a quantised network from a data set, with its model card."""

from __future__ import annotations

import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryptml.cli.console import bar, note, out, print_json, say
from cryptml.cli.options.data import Augmentation, DataOptions
from cryptml.cli.options.shared import with_shared_options
from cryptml.errors import SettingError
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR
from cryptml.networks.storage import NETWORK_FILE, save_network

if TYPE_CHECKING:
    from cryptml.datasets.description import DataDescription
    from cryptml.training import Evaluation, Progress, TrainingSettings

CARD_FILE = "MODEL_CARD.md"
FIGURES_FILE = "figures.json"

CHANCE = 0.5
"""AUC of who guesses."""


@with_shared_options
def train(
    dataset: Annotated[str, typer.Option(help="Such as mias:PATH; see cryptml datasets.")],
    out_folder: Annotated[Path, typer.Option("--out", help="New folder for the network.")],
    options: DataOptions,
    network: Annotated[
        str,
        typer.Option(
            help="conv, deep, reference, scatter, tiny, a design's .json file, or module:function for your own."
        ),
    ] = "reference",
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Most passes over the training set.")] = None,
    teacher: Annotated[
        bool | None, typer.Option("--teacher/--no-teacher", help="Distil from a float teacher, trained first.")
    ] = None,
    teacher_kind: Annotated[
        str | None,
        typer.Option(help="convolutional, committee, kernel or panel; the network's own choice if not given."),
    ] = None,
    views: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Variants of each picture to choose from, itself among them.")
    ] = None,
    positive: Annotated[
        str | None,
        typer.Option(
            help="The class that probabilities are said of, such as malignant; of two the second in alphabetical order, of more none."
        ),
    ] = None,
    augment: Annotated[
        Augmentation | None,
        typer.Option(
            help="What variants may differ in: symmetries (turned, mirrored, moved), mirror (mirrored, moved), shift (moved) or "
            "none; the data set's own choice if not given."
        ),
    ] = None,
    similarity: Annotated[
        float | None,
        typer.Option(
            min=0, max=100, help="Weight of a convolutional teacher's features beside its outputs; 0 leaves them out."
        ),
    ] = None,
    lower_bits: Annotated[
        int | None,
        typer.Option(min=0, max=6, help="Begin so many bits wider, and lose them one by one in the first half."),
    ] = None,
    p_error: Annotated[
        float,
        typer.Option(
            help="Probability that one table lookup fails in circuits whose answers are simulated; trains the same."
        ),
    ] = DEFAULT_P_ERROR,
    folds: Annotated[
        int, typer.Option(min=0, help="Also cross-validate, by patient where known, teacher beside network.")
    ] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing network.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train on a data set's training subset, choose the epoch by its validation subset, evaluate on its test subset.

    What is not given is as the network was tuned with; its model card shows all of it. Some networks keep the last epoch instead.
    """
    if (out_folder / NETWORK_FILE).exists() and not force:
        raise SettingError(f"{out_folder} holds a network; choose another folder or pass --force to replace it")
    import torch

    warnings.filterwarnings(
        "ignore", category=UserWarning, module="torch"
    )  # of what Brevitas does with it, not of what a user did

    from cryptml.datasets.description import DataDescription
    from cryptml.files import to_json_bytes, write_bytes
    from cryptml.networks.architectures.registry import DESIGN_FILE, load_architecture
    from cryptml.networks.checkpoint import save_checkpoint
    from cryptml.training import (
        Examples,
        ModelCard,
        cross_validate,
        describe_layers,
        evaluate_probabilities,
        measure_fidelity,
        predict_program,
        prepare_folds,
        recipe,
        render_model_card,
        teacher_epochs,
        train_network,
    )

    sys.path.insert(0, str(Path.cwd()))  # where a user's own module:function lies, as with python -m
    torch.set_num_threads(1)  # small networks: more threads cost more than they give, and one is reproducible
    architecture = load_architecture(network)
    given: dict[str, Any] = {
        "epochs": epochs,
        "distil": teacher,
        "teacher": teacher_kind,
        "similarity_weight": similarity,
        "views": views,
        "lowered_bits": lower_bits,
        "seed": seed,
    }
    settings = replace(recipe(architecture), **{name: value for name, value in given.items() if value is not None})
    if settings.similarity_weight and not settings.distil:
        raise SettingError(f"--similarity {similarity:g} looks at a teacher's features; pass --teacher too")
    if not 0 < p_error < 1:
        raise SettingError(f"--p-error is {p_error:g}; it lies between 0 and 1")
    out_folder.mkdir(parents=True, exist_ok=True)  # now rather than after the training
    data = options.load(dataset, architecture.side)
    data = data if positive is None else data.with_positive(positive)
    settings = _augmented(settings, data.augmentation, augment, views)
    description = DataDescription.of(data)
    _tell(description, settings, chosen=positive is not None)
    with bar("pictures through the front end", settings.views) as (progress, task):
        examples = Examples.of(
            data,
            architecture.front_end,
            views=settings.views,
            seed=seed,
            augmentation=settings.augmentation,
            tell=lambda ready: progress.update(task, completed=ready),
        )
    validated = None
    if folds:
        with _epochs(f"teachers of {folds} folds", folds * teacher_epochs(settings)) as progress:
            prepared = prepare_folds(examples, folds, settings, progress)
        with _epochs(f"{folds}-fold cross-validation", folds * settings.epochs) as progress:
            validated = cross_validate(architecture, examples, prepared, settings, progress, p_error)
    total = settings.epochs + (teacher_epochs(settings) if settings.distil else 0)
    with _epochs(f"training {architecture.name}", total) as progress:
        trained = train_network(
            architecture, examples.subset("train"), examples.subset("validation"), settings, progress
        )
    figures: dict[str, Evaluation] = {
        subset: evaluate_probabilities(
            predict_program(trained.network, examples.subset(subset).inputs[:, 0]), data.subset(subset), seed
        )
        for subset in ("validation", "test")
        if subset in data.subsets
    }
    fidelity = {
        subset: measure_fidelity(trained.network, part.inputs[:, 0], part.dataset.labels, p_error)
        for subset, part in ((subset, examples.subset(subset)) for subset in figures)
    }
    save_network(trained.network, out_folder, architecture=architecture.spec)
    if architecture.is_design:
        write_bytes(out_folder / DESIGN_FILE, Path(network).read_bytes())
    save_checkpoint(trained.module, out_folder)
    document = {
        **{subset: figure.to_json() | {"fidelity": fidelity[subset].to_json()} for subset, figure in figures.items()},
        "cross_validation": validated.to_json() if validated else None,
        "settings": settings.to_json(),
        "data": {"pictures": data.digest, "subsets": data.division},
    }
    write_bytes(out_folder / FIGURES_FILE, to_json_bytes(document))
    card = ModelCard(
        name=trained.network.name,
        architecture=architecture.spec,
        front_end=architecture.front_end,
        layers=describe_layers(trained.network),
        data=description,
        command=command_line(
            dataset, DESIGN_FILE if architecture.is_design else network, settings, folds, p_error, positive, options
        ),
        settings=settings,
        fidelity=fidelity,
        figures=figures,
        cross_validation=validated,
        versions={name: version(name) for name in ("cryptml", "torch", "brevitas", "numpy")},
        date=datetime.now(timezone.utc).date().isoformat(),
    )
    write_bytes(out_folder / CARD_FILE, render_model_card(card).encode())
    for subset, figure in figures.items():
        if figure.auc < CHANCE:
            note(
                f"the AUC on the {subset} subset is {figure.auc:.3f}, below that of chance: where sides or directions tell the "
                "classes apart, train with --augment shift"
            )
    if json:
        print_json(document)
        return
    for subset, figure in figures.items():
        measures = figure.image_level
        out.print(
            f"{subset}: AUC{_of(figure)} {measures.auc:.3f} (95 %: {measures.interval}), {figure.images} pictures",
            markup=False,
            soft_wrap=True,
        )
    if validated:
        for name, figure in (("quantised", validated.quantised), ("float teacher", validated.teacher)):
            measures = figure.image_level
            out.print(
                f"{folds}-fold, {name}: AUC{_of(figure)} {measures.auc:.3f} (95 %: {measures.interval})",
                markup=False,
                soft_wrap=True,
            )
    say(f"network and model card written to {out_folder}")


def _augmented(settings: TrainingSettings, own: str, asked: Augmentation | None, views: int | None) -> TrainingSettings:
    """Return the settings with what variants may differ in; where they may not differ, with a single one.

    Raises:
        SettingError: If several variants are asked for that may not differ.
    """
    kind = own if asked is None else asked.value
    if kind != "none":
        return replace(settings, augmentation=kind)
    if views is not None and views > 1:
        raise SettingError(
            f"--views {views} asks for variants, and --augment none for a single one; leave one of them out"
        )
    return replace(settings, augmentation=kind, views=1)


def _tell(data: DataDescription, settings: TrainingSettings, *, chosen: bool) -> None:
    """Say what was decided about the data, and by whom."""
    if data.positive is None:
        note(f"{data.name} has {len(data.classes)} classes and no positive one; choose one with --positive")
    else:
        by = "" if chosen else ", the second of two; choose the other with --positive"
        note(f"positive class: {data.positive}{by}")
    note(f"augmentation: {settings.augmentation}")
    if data.patients is None:
        note(
            f"the patients of {data.name} are not known: every picture counts by itself, pictures of one patient may be in two subsets"
        )
    if data.duplicates:
        note(f"{len(data.duplicates)} pictures come more than once within a subset; see cryptml datasets describe")


def _of(figure: Evaluation) -> str:
    return f" of {figure.positive}" if figure.positive else ""


def command_line(
    dataset: str,
    network: str,
    settings: TrainingSettings,
    folds: int,
    p_error: float,
    positive: str | None,
    data: DataOptions,
) -> str:
    """Return the command that repeats a training, without the local path of the data."""
    name, colon, _ = dataset.partition(":")
    written = f"{name}:PATH" if colon and name != "phantom" else dataset
    options = ["--seed", str(settings.seed), "--epochs", str(settings.epochs), "--views", str(settings.views)]
    options += ["--teacher", "--teacher-kind", settings.teacher] if settings.distil else ["--no-teacher"]
    options += ["--similarity", f"{settings.similarity_weight:g}"] if settings.similarity_weight else []
    options += ["--lower-bits", str(settings.lowered_bits)] if settings.lowered_bits else []
    options += ["--folds", str(folds)] if folds else []
    options += ["--p-error", repr(p_error)] if p_error != DEFAULT_P_ERROR else []
    options += ["--augment", str(settings.augmentation)]
    options += ["--positive", shlex.quote(positive)] if positive is not None else []
    expression = data.patients_from_name
    options += ["--patients-from-name", shlex.quote(expression)] if expression is not None else []
    return f"cryptml train --dataset {written} --network {network} --out DIR {' '.join(options)}"


@contextmanager
def _epochs(what: str, total: int) -> Iterator[Progress]:
    with bar(what, total) as (progress, task):

        def report(epoch: int, epochs: int, loss: float, validation_auc: float | None) -> None:
            text = f"{what}: loss {loss:.3f}"
            if validation_auc is not None:
                text += f", validation AUC {validation_auc:.3f}"
            progress.update(task, completed=epoch, total=epochs, description=text)

        yield report
