"""What a training is to be, before data and network are known; what is not given is as the network was tuned with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptml.errors import SettingError
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR
from cryptml.networks.shipped import DEFAULT_SPLITS
from cryptml.training.settings import TrainingSettings

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
"""Of networks, in files and addresses."""

MOST_REPEATS = 100
"""Of a cross-validation."""


@dataclass(frozen=True)
class TrainingRequest:
    """One training.

    Attributes:
        dataset: Such as ``mias:PATH`` or ``phantom``; see `cryptml.datasets`.
        network: An architecture's name, a design's ``.json`` file, or ``module:function``.
        seed: Of everything random.
        epochs: Most passes over the training set.
        teacher: Whether a float teacher is trained first, to learn from.
        teacher_kind: One of `TrainingSettings.teacher`.
        views: Variants of each picture to choose from, itself among them.
        positive: The class that probabilities are said of.
        augmentation: What variants may differ in, one of `cryptml.datasets.base.AUGMENTATIONS`.
        similarity: Weight of a convolutional teacher's features beside its outputs.
        lowered_bits: Bits that weights and activations begin wider, and lose.
        p_error: Probability that one programmable bootstrap fails in circuits whose answers are simulated; trains the same.
        folds: Of a cross-validation beside the training, per patient where known; 0 for none.
        repeats: How often it is done, with the seed and those after it; each cuts other folds.
        refit: Whether the network itself is trained on all pictures, so that the cross-validation is its only estimate; where
            networks keep their last epoch and there are folds, if None.
        patients_from_name: See `cryptml.datasets.LoadOptions`.
        name: Of the network, as services and clients know it; see `named`.
        max_evaluate_ms: Most that one evaluation may take with all layers on the server, in milliseconds: the network is changed until
            it fits (`cryptml.search.fitting`).
        as_is: Change nothing of the network; refuse it where it does not build, or takes longer than that.
        profiles: Reports measured on the machine whose time counts; the recorded ones if none.
    """

    dataset: str
    network: str = "reference"
    seed: int = 0
    epochs: int | None = None
    teacher: bool | None = None
    teacher_kind: str | None = None
    views: int | None = None
    positive: str | None = None
    augmentation: str | None = None
    similarity: float | None = None
    lowered_bits: int | None = None
    p_error: float = DEFAULT_P_ERROR
    folds: int = 0
    repeats: int = 1
    refit: bool | None = None
    patients_from_name: str | None = None
    name: str | None = None
    max_evaluate_ms: float | None = None
    as_is: bool = False
    profiles: Sequence[Path] = ()

    def named(self, out: Path, architecture: str) -> str:
        """Return the network's name: what was given, or the folder's, or what follows from these; of none of our own by accident.

        Args:
            out: Folder of the network.
            architecture: Its name.

        Raises:
            SettingError: If what was given cannot be a network's name.
        """
        if self.name is not None:
            if not NAME.fullmatch(self.name):
                raise SettingError(
                    f"`name` {self.name[:80]!r} cannot be a network's name; write 1 to 64 lower-case letters, digits and dashes, and "
                    "no dash first"
                )
            return self.name
        folder = re.sub(r"[^a-z0-9]+", "-", out.absolute().name.lower()).strip("-")[:64].strip("-")
        found = folder or architecture
        return f"own-{found}"[:64] if found in DEFAULT_SPLITS else found

    def settings(self, recipe: TrainingSettings) -> TrainingSettings:
        """Return a network's own settings with what is given instead; what the data decide is still open.

        Raises:
            SettingError: If what is given does not go together.
        """
        given: dict[str, Any] = {
            "epochs": self.epochs,
            "distil": self.teacher,
            "teacher": self.teacher_kind,
            "similarity_weight": self.similarity,
            "views": self.views,
            "lowered_bits": self.lowered_bits,
            "seed": self.seed,
        }
        settings = replace(recipe, **{name: value for name, value in given.items() if value is not None})
        if settings.similarity_weight and not settings.distil:
            raise SettingError(f"`similarity` {self.similarity:g} looks at a teacher's features; pass `teacher` too")
        if not 0 < self.p_error < 1:
            raise SettingError(f"`p_error` is {self.p_error:g}; it lies between 0 and 1")
        return settings

    def refits(self, settings: TrainingSettings) -> bool:
        """Return whether the network is trained on all pictures.

        Args:
            settings: Of the training.

        Raises:
            SettingError: If it shall be, and no estimate would be left, or its best epoch could not be told; or if ``repeats`` is
                out of bounds.
        """
        if not 1 <= self.repeats <= MOST_REPEATS or (self.repeats > 1 and not self.folds):
            raise SettingError(
                f"`repeats` is {self.repeats} with {self.folds} `folds`; give 1 to {MOST_REPEATS}, and folds for more than 1"
            )
        if not self.refit:
            return self.refit is None and settings.keep == "last" and self.folds > 0
        if not self.folds:
            raise SettingError("`refit` trains on every picture and leaves none to judge by; pass `folds` 5 too")
        if settings.keep != "last":
            raise SettingError(
                "`refit` trains on every picture, and this network keeps the epoch that does best on others; leave `refit` out"
            )
        return True

    def augmented(self, settings: TrainingSettings, own: str) -> TrainingSettings:
        """Return settings with what variants may differ in; where they may not differ, with a single one.

        Args:
            settings: To complete.
            own: The data set's own choice.

        Raises:
            SettingError: If several variants are asked for that may not differ.
        """
        kind = own if self.augmentation is None else self.augmentation
        if kind != "none":
            return replace(settings, augmentation=kind)
        if self.views is not None and self.views > 1:
            raise SettingError(
                f"`views` {self.views} asks for variants, and `augmentation` none for a single one; leave one of them out"
            )
        return replace(settings, augmentation=kind, views=1)

    def command_line(self, settings: TrainingSettings, network: str, named: str) -> str:
        """Return the command that repeats the training, without the local path of the data.

        Args:
            settings: That it was made with.
            network: What to name as its network.
            named: The network's name.
        """
        name, colon, _ = self.dataset.partition(":")
        written = f"{name}:PATH" if colon and name != "phantom" else self.dataset
        options = ["--seed", str(settings.seed), "--epochs", str(settings.epochs), "--views", str(settings.views)]
        options += ["--teacher", "--teacher-kind", settings.teacher] if settings.distil else ["--no-teacher"]
        options += ["--similarity", f"{settings.similarity_weight:g}"] if settings.similarity_weight else []
        options += ["--lower-bits", str(settings.lowered_bits)] if settings.lowered_bits else []
        options += ["--folds", str(self.folds)] if self.folds else []
        options += ["--repeats", str(self.repeats)] if self.repeats > 1 else []
        options += ["--refit" if self.refits(settings) else "--no-refit"] if self.folds else []
        options += ["--p-error", repr(self.p_error)] if self.p_error != DEFAULT_P_ERROR else []
        options += ["--augment", str(settings.augmentation)]
        options += ["--positive", shlex.quote(self.positive)] if self.positive is not None else []
        expression = self.patients_from_name
        options += ["--patients-from-name", shlex.quote(expression)] if expression is not None else []
        options += ["--max-evaluate-ms", f"{self.max_evaluate_ms:g}"] if self.max_evaluate_ms is not None else []
        options += ["--as-is"] if self.as_is else []
        options += [part for _ in self.profiles for part in ("--profile", "PROFILE")]
        options += ["--name", named]
        return f"cryptml train --dataset {written} --network {network} --out DIR {' '.join(options)}"
