"""Quantisation-aware training: from an architecture and a data set to an integer program."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import NoReturn

import torch
from torch import Tensor, nn

from cryptml.datasets.base import Dataset
from cryptml.errors import DatasetError, NetworkError, SettingError, said_by
from cryptml.networks.architectures.registry import Architecture
from cryptml.networks.conversion import convert, read_stages
from cryptml.networks.conversion.comparison import require_same
from cryptml.networks.conversion.settling import settle
from cryptml.networks.modules.rounded_accumulator import BinnedAccumulator
from cryptml.networks.network import Network
from cryptml.networks.sequences import flat_children
from cryptml.networks.sequences.shapes import remedy_of, shapes_of
from cryptml.training.evaluation.agreement import check_agreement
from cryptml.training.examples import Examples
from cryptml.training.fit import balanced_cross_entropy, fit, seeded
from cryptml.training.progress import EpochProgress, History, later
from cryptml.training.settings import TrainingSettings
from cryptml.training.teachers.distillation import distil_from
from cryptml.training.teachers.linear_start import begin_linear
from cryptml.training.teachers.network_teacher import TrainedTeacher, teacher_epochs, train_teacher

NOISE_INPUTS = 32
"""Standard normal inputs that an untrained network sees before it is converted."""

FORWARD_PASSES = 2
"""Before it is converted: in the second, scales of weights follow the bins that the first one found."""


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A quantised network and how it came about.

    Attributes:
        module: The Brevitas network with the weights of the epoch that was kept, in evaluation mode.
        network: Its integer program, which is what is deployed.
        history: Of its training.
        teacher: What it learned from besides the labels; None without distillation.
        disagreement: Share of training and validation regions on which module and integer program differ by half a step of
            the logits' grid or more, 0 to 0.01.
    """

    module: nn.Sequential
    network: Network
    history: History
    teacher: TrainedTeacher | None
    disagreement: float


def train_network(
    architecture: Architecture,
    train: Examples,
    validation: Examples | None,
    settings: TrainingSettings,
    progress: EpochProgress | None = None,
    teacher: TrainedTeacher | None = None,
) -> TrainedNetwork:
    """Train a network and convert it to its integer program.

    An untrained copy is converted first, so that a network that cannot be cut or compiled is refused before any time is
    spent on it.

    Args:
        architecture: What to train.
        train: What it learns from, behind the architecture's front end.
        validation: What tells the best epoch; no patient of ``train``. The last epoch is kept if None.
        settings: All of the training's numbers.
        progress: Hears of every epoch, the teacher's first.
        teacher: Ready to learn from; trained here if None and the settings ask for one.

    Raises:
        DatasetError: If the sets do not fit each other, share a patient, or lack a class.
        SettingError: If the examples have another number of views than the settings.
        NetworkError: If the examples went through another front end, or the network cannot be cut or compiled (with every
            reason), diverges, or its integer program differs from it.
    """
    sets = [train] if validation is None else [train, validation]
    _check_examples(architecture, sets, settings)
    classes = train.dataset.classes
    check_convertible(architecture, classes)
    total = settings.epochs
    if settings.distil and teacher is None:
        total += teacher_epochs(settings)
        teacher = train_teacher(train, validation, settings, later(progress, done=0, total=total))
    module = _build(architecture, len(classes), settings.seed)
    if settings.start == "linear":
        begin_linear(module, train)
    progress = later(progress, done=total - settings.epochs, total=total)
    weights = train.class_weights()
    teacher = teacher if settings.distil else None
    with (
        distil_from(teacher, module, settings, weights)
        if teacher
        else nullcontext(balanced_cross_entropy(weights)) as loss
    ):
        history = fit(module, train, validation, settings, loss, progress)
    settle(module, architecture.front_end)
    network = convert(module, name=architecture.name, front_end=architecture.front_end, classes=classes)
    network = replace(network, positive=train.dataset.positive_class)
    share = check_agreement(module, network, torch.cat([examples.inputs[:, 0] for examples in sets]))
    return TrainedNetwork(module, network, history, teacher, share)


def check_convertible(architecture: Architecture, classes: tuple[str, ...], inputs: Tensor | None = None) -> Network:
    """Convert a network that has learned nothing, and return what came of it: its circuits cost about what trained ones will.

    Args:
        architecture: What to build.
        classes: Names of its outputs.
        inputs: (n, *front_end.shape) float32, n at least 2, from which bins and scales of accumulators come; noise if None. How large
            integer weights become depends on how alike the values of a picture are: with pictures, prices come nearer to those of
            the trained network.

    Raises:
        NetworkError: With every reason why the network cannot be cut or compiled.
    """
    module, seen = untrained(architecture, len(classes), inputs)
    front_end = architecture.front_end
    with torch.no_grad():
        settle(module, front_end)
        network = convert(module, name=architecture.name, front_end=front_end, classes=classes)
        require_same(module, network, seen[:NOISE_INPUTS])
    return network


def untrained(architecture: Architecture, classes: int, inputs: Tensor | None = None) -> tuple[nn.Sequential, Tensor]:
    """Return a network that has seen some inputs and learned nothing, and these inputs.

    Args:
        architecture: What to build.
        classes: How many outputs it has.
        inputs: See `check_convertible`.

    Raises:
        NetworkError: If one of its modules does not take what the one before it gives, whatever it raises.
    """
    module = _build(architecture, classes, seed=0)
    with seeded(0), torch.no_grad():
        seen = torch.randn(NOISE_INPUTS, *architecture.front_end.shape) if inputs is None else inputs
        for each in module.modules():
            if isinstance(each, nn.modules.batchnorm._BatchNorm):
                each.momentum = None  # type: ignore[assignment]  # averages of all that was seen, not a tenth of it
        try:
            for _ in range(FORWARD_PASSES):
                module.train()(seen)
        except NetworkError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 (of a user's code)
            _refuse_forward(architecture, module, error)
    for each in module.modules():
        if isinstance(each, BinnedAccumulator):
            each.advance(1.0)
    return module.eval(), seen


def _refuse_forward(architecture: Architecture, module: nn.Sequential, error: BaseException) -> NoReturn:
    """Say which module does not take what the one before it gives.

    Raises:
        NetworkError: Always.
    """
    front_end = architecture.front_end
    read_stages(module.eval())  # says more where it finds a reason
    _, broken = shapes_of(flat_children(module), front_end.shape)
    said = said_by(error) if broken is None else f"{broken.where}: {broken.what}"
    remedy = remedy_of(said)
    if "fit" in remedy:
        remedy += ", or set the function's attribute front_end, or side"
    raise NetworkError(
        f"network {architecture.spec!r} does not take inputs of shape {front_end.shape}, which its front end gives for a side of "
        f"{front_end.side} pixels ({said}); {remedy}"
    ) from error


def _build(architecture: Architecture, classes: int, seed: int) -> nn.Sequential:
    with seeded(seed):
        return architecture.build(classes)


def _check_examples(architecture: Architecture, sets: list[Examples], settings: TrainingSettings) -> None:
    """Refuse examples that do not fit the network, the settings or each other."""
    if len(sets) > 1:
        _check_apart(sets[0].dataset, sets[1].dataset)
    for examples in sets:
        examples.require_every_class()
        if examples.front_end != architecture.front_end:
            raise NetworkError(
                f"the examples went through {examples.front_end} where network {architecture.spec!r} has {architecture.front_end}; "
                "make them with the architecture's front end"
            )
    if sets[0].inputs.shape[1] != settings.views:
        raise SettingError(
            f"the examples have {sets[0].inputs.shape[1]} views where the settings say {settings.views}; "
            "make them with the settings' number"
        )


def _check_apart(train: Dataset, validation: Dataset) -> None:
    if train.classes != validation.classes:
        raise DatasetError(
            f"the training set has the classes {train.classes} and the validation set {validation.classes}; "
            "take both from one data set"
        )
    shared = sorted(set(train.patients) & set(validation.patients))
    if shared:
        raise DatasetError(
            f"{len(shared)} {train.unit}s, {shared[0]!r} the first, are in the training and in the validation set; "
            f"move all pictures of a {train.unit} to one of them"
        )
