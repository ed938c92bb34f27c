"""The search itself: draw a design, price it, train it if it fits; all of it kept in one file, where the next run goes on."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from cryptml.errors import CircuitError, NetworkError, SettingError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS
from cryptml.networks.architectures.design import Design
from cryptml.networks.architectures.registry import DESIGN, Architecture
from cryptml.search.price import PriceModel
from cryptml.search.space import parameters, suggest
from cryptml.splits import Segment
from cryptml.training import (
    EpochProgress,
    Examples,
    Fold,
    TrainingSettings,
    check_convertible,
    cross_validate,
    prepare_folds,
)

STUDY_FILE = "study.sqlite"
NAME = "search"
MOST_REFUSED = 500
"""Designs refused in a row before the search gives up: the budget is then too small for the space."""

CHEAPEST_BOOTSTRAP = 20.0
"""Millions of complexity below every bootstrap that Concrete has (55 for 2 bits): designs beyond the budget need no compiler."""

PRICED_ON = 128
"""Pictures that a design sees before it is priced."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class SearchSettings:
    """What a search is for; a study goes on only under the same.

    Attributes:
        dataset: Its name.
        max_evaluate_ms: Budget of one evaluation with all layers on the server.
        folds: Of the cross-validation, per patient.
        training: Of every network; the seed also cuts the folds and draws the designs.
    """

    dataset: str
    max_evaluate_ms: float
    folds: int
    training: TrainingSettings


@dataclass(frozen=True)
class Found:
    """A design that fits, trained.

    Attributes:
        number: Of its trial.
        design: The network.
        auc: Cross-validated and pooled.
        evaluate_ms: Price of one evaluation.
        frontier: Whether no other is as accurate and cheaper, or as cheap and more accurate.
    """

    number: int
    design: Design
    auc: float
    evaluate_ms: float
    frontier: bool


class Search:
    """A study in a folder.

    Args:
        folder: Holds the study; made where it is missing.
        examples: All pictures, behind the front end of every design.
        price: Of this machine.
        settings: See there.
        most_refused: Designs that `step` looks at, at most, before it gives up.

    Raises:
        SettingError: If the folder holds a study with other settings or no study, or the budget is less than a call takes.
    """

    def __init__(
        self,
        folder: Path,
        examples: Examples,
        price: PriceModel,
        settings: SearchSettings,
        *,
        most_refused: int = MOST_REFUSED,
    ) -> None:
        if settings.max_evaluate_ms <= price.call:
            raise SettingError(
                f"a budget of {settings.max_evaluate_ms:g} ms is no more than the {price.call:.0f} ms of a call that computes nothing; "
                "give a larger one"
            )
        folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(logging.WARNING)
        self._examples = examples
        self._price = price
        self._settings = settings
        self._most_refused = most_refused
        self._prepared: tuple[Fold, ...] | None = None
        wanted = {
            **asdict(settings),
            "front_end": examples.front_end.to_json(),
            "price": asdict(price),
            "data": examples.dataset.digest,
            "design": [each.name for each in fields(Design)],
        }
        try:
            self._study = optuna.create_study(
                study_name=NAME,
                storage=URL.create("sqlite", database=str(folder / STUDY_FILE)).render_as_string(),
                load_if_exists=True,
                directions=["maximize", "minimize"],
            )
            known = dict(self._study.user_attrs.get("settings", wanted))
            known["training"] = {**asdict(TrainingSettings()), **known["training"]}  # a search of an earlier version
            self._study.set_user_attr("settings", known)
        except (SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError, ValueError, KeyError) as error:
            raise SettingError(
                f"{folder / STUDY_FILE} cannot be read as a search ({str(error).splitlines()[0][:200]}); choose another folder"
            ) from error
        different = sorted(name for name in wanted if wanted[name] != known.get(name))
        if different:
            raise SettingError(
                f"{folder} holds a search with another {', '.join(different)}; choose another folder, or the same settings"
            )
        # Draws depend on how far the study is: one that was interrupted goes on with other draws than those it has had.
        seed = (settings.training.seed + len(self._study.trials)) % 2**32
        with warnings.catch_warnings():
            # The sampler that knows conditional spaces is called experimental.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)

    @property
    def completed(self) -> int:
        """Designs trained so far."""
        return len(self._completed())

    def begin_with(self, designs: Sequence[Design]) -> None:
        """Look at some designs before any is drawn; one that was trained or refused already is not looked at again.

        Args:
            designs: Of this search's front end.

        Raises:
            SettingError: If one has another front end, or is none that `suggest` gives.
        """
        for design in designs:
            if design.front_end != self._examples.front_end:
                raise SettingError(
                    f"the search is behind {self._examples.front_end} where a design to begin with has {design.front_end}; "
                    "give designs of one front end"
                )
            wanted = parameters(design)
            if wanted not in (_drawn(trial) for trial in self._study.get_trials(deepcopy=False) if _counts(trial)):
                self._study.enqueue_trial(wanted)

    def prepare(self, progress: EpochProgress | None = None) -> None:
        """Cut the folds and train their teachers, which all designs share."""
        self._prepared = prepare_folds(self._examples, self._settings.folds, self._settings.training, progress)

    def step(self, progress: EpochProgress | None = None, tell: Tell | None = None) -> Found:
        """Draw designs until one fits the budget, and train it.

        Args:
            progress: Hears of its epochs.
            tell: Hears what is done.

        Raises:
            SettingError: If too many in a row do not fit.
        """
        if self._prepared is None:
            self.prepare()
        reason, known = "nothing drawn", [each.design for each in self.found()]
        for refused in range(self._most_refused):
            trial = self._study.ask()
            if tell is not None:
                tell(f"looking for a design that fits ({refused} refused)")
            try:
                design = suggest(trial, self._examples.front_end)
                if design in known:
                    raise NetworkError(f"{design.summary} was trained already")
                milliseconds = self._affordable(design)
                if tell is not None:
                    tell(f"training {design.bootstraps} bootstraps, {milliseconds:.0f} ms")
                validated = cross_validate(
                    _architecture(design), self._examples, self._prepared or (), self._settings.training, progress
                )
            except (NetworkError, CircuitError) as error:
                reason = str(error)[:200]
                trial.set_user_attr("refused", reason)
                self._study.tell(trial, state=TrialState.FAIL)  # the sampler learns from trained designs alone
                continue
            except BaseException:
                self._study.tell(trial, state=TrialState.FAIL)  # an interrupted one is not waited for
                raise
            trial.set_user_attr("design", design.to_json())
            self._study.tell(trial, [validated.quantised.auc, milliseconds])
            return next(each for each in self.found() if each.number == trial.number)
        raise SettingError(
            f"none of {self._most_refused} designs is new and fits {self._settings.max_evaluate_ms:g} ms (the last one: {reason}); "
            "give a larger budget"
        )

    def found(self) -> list[Found]:
        """Return every trained design, cheapest first."""
        best = {trial.number for trial in self._study.best_trials}
        found = [
            Found(
                number=trial.number,
                design=Design.from_json(trial.user_attrs["design"]),
                auc=trial.values[0],
                evaluate_ms=trial.values[1],
                frontier=trial.number in best,
            )
            for trial in self._completed()
        ]
        return sorted(found, key=lambda each: (each.evaluate_ms, -each.auc))

    def _completed(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))

    def _affordable(self, design: Design) -> float:
        """Return the price of an evaluation in milliseconds.

        Raises:
            CircuitError: If it exceeds the budget, or the circuit does not compile.
            NetworkError: If the design cannot be cut or compiled.
        """
        budget = self._settings.max_evaluate_ms
        milliseconds = self._price.call + self._price.work * design.bootstraps * CHEAPEST_BOOTSTRAP
        if milliseconds <= budget:
            network = check_convertible(
                _architecture(design), self._examples.dataset.classes, self._examples.inputs[:PRICED_ON, 0]
            )
            compiled = compile_integer_program(network, Segment(0, len(network)), DEFAULT_COMPILER_SETTINGS)
            compiled.discard()
            milliseconds = self._price.milliseconds(compiled.spec)
        if milliseconds > budget:
            raise CircuitError(f"an evaluation takes some {milliseconds:.0f} ms or more, above {budget:g}")
        return milliseconds


def _drawn(trial: FrozenTrial) -> dict[str, Any]:
    """Return what a trial holds, or will hold once it is looked at."""
    found: dict[str, Any] = trial.system_attrs.get("fixed_params", trial.params)
    return found


def _counts(trial: FrozenTrial) -> bool:
    """Return whether a trial was, is or will be looked at to its end; an interrupted one was not."""
    return trial.state is not TrialState.FAIL or "refused" in trial.user_attrs


def _architecture(design: Design) -> Architecture:
    return Architecture(DESIGN, design.front_end, design.build)
