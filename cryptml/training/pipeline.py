"""A training from data set to files: one call for the command line, a notebook or a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptml.datasets import Dataset, load_data
from cryptml.datasets.description import DataDescription
from cryptml.errors import SettingError, counted
from cryptml.files import require_writable, to_json_bytes, write_bytes
from cryptml.listening import Listener, SilentListener
from cryptml.networks.architectures.registry import DESIGN_FILE, Architecture, load_architecture
from cryptml.networks.checkpoint import save_checkpoint
from cryptml.networks.front_ends import FrontEnd, Views
from cryptml.networks.network import Network
from cryptml.networks.shipped import DEFAULT_SPLITS, FOR_TESTS, FOR_TESTS_SAID
from cryptml.networks.storage import NETWORK_FILE, save_network
from cryptml.training.checkpoints.session import among, head_of, unfinished
from cryptml.training.checkpoints.store import Checkpoints
from cryptml.training.cross_validation import CrossValidation, cross_validate, prepare_folds, summarise
from cryptml.training.evaluation.fidelity import Fidelity, measure_fidelity
from cryptml.training.evaluation.measures import Evaluation, evaluate_probabilities
from cryptml.training.evaluation.study import FIGURES_FILE
from cryptml.training.examples import Examples, predict_program, require_training_subsets
from cryptml.training.model_card import ModelCard, describe_layers, render_model_card
from cryptml.training.progress import epochs_bar, telling_time
from cryptml.training.qat import TrainedNetwork, train_network
from cryptml.training.recipes import recipe
from cryptml.training.request import TrainingRequest
from cryptml.training.settings import TrainingSettings
from cryptml.training.teachers.network_teacher import teacher_epochs
from cryptml.training.torch_settings import training_torch_settings

CARD_FILE = "MODEL_CARD.md"

LEARNED = "all pictures, which it learned from"
"""On what fidelity is measured where no picture was held back; an AUC there would say nothing."""

CHANCE = 0.5
"""AUC of who guesses."""


Prepare = Callable[[Architecture, Dataset], Architecture]
"""Returns the architecture to train in the place of what was asked for."""


@dataclass(frozen=True)
class TrainingResult:
    """What came of a training.

    Attributes:
        network: The integer program, as the folder holds it.
        folder: With network, checkpoint, model card and figures.
        figures: Of the subsets ``validation`` and ``test``, where the data set has them and the network has not learned from them.
        fidelity: What rounding may change of the same subsets' answers, or of all pictures' (`LEARNED`).
        cross_validation: Where one was asked for.
        document: All of it as JSON values, as `FIGURES_FILE` holds it.
    """

    network: Network
    folder: Path
    figures: Mapping[str, Evaluation]
    fidelity: Mapping[str, Fidelity]
    cross_validation: CrossValidation | None
    document: Mapping[str, Any]


def train(
    request: TrainingRequest,
    out: Path,
    *,
    force: bool = False,
    resume: bool = False,
    listener: Listener | None = None,
    prepare: Prepare | None = None,
) -> TrainingResult:
    """Train on a data set's training subset, choose the epoch by its validation subset, evaluate on its test subset.

    With a cross-validation, a network that keeps its last epoch is trained on all pictures instead (`TrainingRequest.refits`).

    Until it is finished, its state is kept in a folder beside ``out``, whose name ends in ``.unfinished``.

    Args:
        request: What to train, and how.
        out: Folder for the network; made where it is missing.
        force: Replace a network that is there.
        resume: Go on with an interrupted training of the same, to the same result; begin where there is none.
        listener: Hears of decisions and progress.
        prepare: May change the network before it is trained, given the data, as `cryptml.search.fitting.train` does.

    Raises:
        SettingError: If the folder holds a network, or what is asked for does not go together.
        DatasetError: If the data cannot be loaded, or lack what the training needs.
        NetworkError: If the network cannot be cut or compiled, or diverges.
        JournalError: If an unfinished training is there and ``resume`` is not asked for, or it is of something else, or damaged.
        Interrupted: At Ctrl-C or SIGTERM, with what was kept.
    """
    if (out / NETWORK_FILE).exists() and not force:
        raise SettingError(f"{out} holds a network; choose another folder or pass `force` to replace it")
    listener = listener if listener is not None else SilentListener()
    architecture = load_architecture(request.network)
    settings = request.settings(recipe(architecture))
    name = request.named(out, architecture.name)
    require_writable(out, SettingError)
    with training_torch_settings(), unfinished(out, resume=resume) as checkpoints:
        data = load_data(request.dataset, architecture.side, request.patients_from_name, listener)
        data = data if request.positive is None else data.with_positive(request.positive)
        # Turned or moved as a whole, a region of several views would have them in each other's places.
        views = isinstance(architecture.front_end, Views)
        settings = request.augmented(settings, "none" if views else data.augmentation)
        require_training_subsets(data)
        description = DataDescription.of(data)
        _tell_of_name(name, architecture, listener)
        _tell(description, settings, listener, chosen=request.positive is not None)
        architecture = architecture if prepare is None else prepare(architecture, data)
        checkpoints.begin({"name": name, **head_of(request, architecture, settings, data)})
        _tell_of_checkpoints(checkpoints, out, listener, resume=resume)
        examples = make_examples(data, architecture.front_end, settings, listener)
        validated = _cross_validated(request, architecture, examples, settings, listener)
        trained = _trained(architecture, examples, settings, listener, refit=request.refits(settings))
        trained = replace(trained, network=replace(trained.network, name=name))
        result = _judged(trained, data, examples, request, settings, validated, out)
        _write(result, trained, architecture, request, settings, description)
    _warn_of_chance(result, listener)
    return result


def make_examples(data: Dataset, front_end: FrontEnd, settings: TrainingSettings, listener: Listener) -> Examples:
    """Return all variants of a data set's pictures behind a front end."""
    with listener.bar("pictures through the front end", settings.views) as bar:
        return Examples.of(
            data,
            front_end,
            views=settings.views,
            seed=settings.seed,
            augmentation=settings.augmentation,
            tell=bar,
        )


def _cross_validated(
    request: TrainingRequest,
    architecture: Architecture,
    examples: Examples,
    settings: TrainingSettings,
    listener: Listener,
) -> CrossValidation | None:
    if not request.folds:
        return None
    trainings, found = request.folds * request.repeats + 1, []
    listener.remark(
        f"plan: {request.folds} folds with {request.repeats} seeds, then the network itself: {trainings} trainings of "
        f"{counted(settings.epochs, 'epoch')}"
    )
    for repeat in range(request.repeats):
        own = replace(settings, seed=(settings.seed + repeat) % 2**32)
        what = f"{request.folds}-fold cross-validation, seed {own.seed}"
        with epochs_bar(listener, f"teachers of {what}", request.folds * teacher_epochs(own)) as progress:
            prepared = prepare_folds(examples, request.folds, own, progress)
        with epochs_bar(listener, what, request.folds * settings.epochs) as progress:
            timed = progress if repeat else telling_time(progress, settings.epochs, trainings, listener)
            found.append(cross_validate(architecture, examples, prepared, own, timed, request.p_error))
    return summarise(found, examples.dataset)


def _trained(
    architecture: Architecture, examples: Examples, settings: TrainingSettings, listener: Listener, *, refit: bool
) -> TrainedNetwork:
    train, validation = (examples, None) if refit else examples.for_training()
    total = settings.epochs + (teacher_epochs(settings) if settings.distil else 0)
    with epochs_bar(listener, f"training {architecture.name}", total) as progress:
        return train_network(architecture, train, validation, settings, progress)


def _judged(
    trained: TrainedNetwork,
    data: Dataset,
    examples: Examples,
    request: TrainingRequest,
    settings: TrainingSettings,
    validated: CrossValidation | None,
    folder: Path,
) -> TrainingResult:
    refit = request.refits(settings)
    judged = () if refit else ("validation", "test")
    parts = {subset: examples.subset(subset) for subset in judged if subset in data.subsets}
    figures = {
        subset: evaluate_probabilities(
            predict_program(trained.network, part.inputs[:, 0]), data.subset(subset), request.seed
        )
        for subset, part in parts.items()
    }
    fidelity = {
        subset: measure_fidelity(trained.network, part.inputs[:, 0], part.dataset.labels, request.p_error)
        for subset, part in (parts or {LEARNED: examples}).items()
    }
    document: dict[str, Any] = {
        **{subset: figure.to_json() | {"fidelity": fidelity[subset].to_json()} for subset, figure in figures.items()},
        **({"fidelity": fidelity[LEARNED].to_json()} if LEARNED in fidelity else {}),
        "cross_validation": validated.to_json() if validated else None,
        "settings": settings.to_json(),
        "data": {
            "pictures": data.digest,
            "subsets": data.division,
            "refit": refit,
            "patients_from_name": request.patients_from_name,
        },
    }
    return TrainingResult(trained.network, folder, figures, fidelity, validated, document)


def _write(
    result: TrainingResult,
    trained: TrainedNetwork,
    architecture: Architecture,
    request: TrainingRequest,
    settings: TrainingSettings,
    description: DataDescription,
) -> None:
    out = result.folder
    out.mkdir(parents=True, exist_ok=True)
    adjustments = [each.to_json() for each in architecture.adjustments]
    save_network(trained.network, out, architecture=architecture.spec, adjustments=adjustments)
    if architecture.is_design:
        write_bytes(out / DESIGN_FILE, Path(request.network).read_bytes())
    save_checkpoint(trained.module, out)
    write_bytes(out / FIGURES_FILE, to_json_bytes(result.document))
    card = ModelCard(
        name=trained.network.name,
        architecture=architecture.spec,
        adjustments=tuple(map(str, architecture.adjustments)),
        front_end=architecture.front_end,
        layers=describe_layers(trained.network),
        data=description,
        command=request.command_line(
            settings, DESIGN_FILE if architecture.is_design else request.network, trained.network.name
        ),
        settings=settings,
        fidelity=result.fidelity,
        figures=result.figures,
        cross_validation=result.cross_validation,
        refit=request.refits(settings),
        versions={name: version(name) for name in ("cryptml", "torch", "brevitas", "numpy")},
        date=datetime.now(UTC).date().isoformat(),
    )
    write_bytes(out / CARD_FILE, render_model_card(card).encode())


def _tell_of_name(name: str, architecture: Architecture, listener: Listener) -> None:
    """Say what services and clients will call the network, and whether its architecture is worth the time."""
    listener.remark(f"the network's name is {name}; choose another with `name`")
    if name in DEFAULT_SPLITS:
        listener.note(
            f"a shipped network is called {name} too; leave out `name`, or choose another, to tell them apart"
        )
    if architecture.spec in FOR_TESTS:
        listener.note(f"{architecture.spec} {FOR_TESTS_SAID}; choose another `network` for answers that count")


def _tell_of_checkpoints(checkpoints: Checkpoints, out: Path, listener: Listener, *, resume: bool) -> None:
    if resume and not checkpoints.found:
        listener.note(f"there is no unfinished training of {out} to go on with; it begins")
    if checkpoints.epochs:
        epochs = counted(checkpoints.epochs, "finished epoch")
        listener.remark(f"going on after {epochs}{among(checkpoints)}")


def _tell(data: DataDescription, settings: TrainingSettings, listener: Listener, *, chosen: bool) -> None:
    """Say what was decided about the data, and by whom."""
    if data.positive is None:
        listener.note(f"{data.name} has {len(data.classes)} classes and no positive one; choose one with `positive`")
    else:
        by = "" if chosen else ", the second of two; choose the other with `positive`"
        listener.note(f"positive class: {data.positive}{by}")
    listener.note(f"augmentation: {settings.augmentation}")
    if data.patients is None:
        listener.note(
            f"the patients of {data.name} are not known: every picture counts by itself, pictures of one patient may be in two subsets; "
            "an index names patients, or `patients_from_name` finds them in file names"
        )
    for words in data.doubtful:
        listener.note(words)
    if data.duplicates:
        listener.note(
            f"{len(data.duplicates)} pictures come more than once within a subset; see cryptml datasets describe"
        )


def _warn_of_chance(result: TrainingResult, listener: Listener) -> None:
    for subset, figure in result.figures.items():
        if figure.auc < CHANCE:
            listener.note(
                f"the AUC on the {subset} subset is {figure.auc:.3f}, below that of chance: where sides or directions tell the "
                "classes apart, train with `augmentation` shift"
            )
