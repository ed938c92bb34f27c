"""A quantised, encrypted classifier with the habits of scikit-learn: fit, compile, predict; usable in `sklearn.model_selection`.

``X`` is a table, (n, columns) of any numbers, or pictures, (n, side, side) in [0, 1]. Client and server are both in this process: what is
encrypted is evaluated by the same code as in a service, but nobody is shut out. To deploy, `save` the network for ``cryptml build``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import nn

from cryptml.bundle import ClientBundle, ServerBundle
from cryptml.bundle.build import build_bundle
from cryptml.datasets.base import Dataset
from cryptml.errors import SettingError
from cryptml.estimator.in_process import InProcess
from cryptml.estimator.values import numbers
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.settings import CompilerSettings
from cryptml.listening import SilentListener
from cryptml.networks import FloatArray, Network, Row, Standardisation, probabilities, save_network
from cryptml.networks.architectures.head import negacyclic_head
from cryptml.networks.architectures.registry import ARCHITECTURES, Architecture, architecture_of
from cryptml.networks.front_ends import FrontEnd
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR
from cryptml.search.fitting import SEEN, fitted
from cryptml.search.price import RECORDED
from cryptml.splits import Split
from cryptml.training import Examples, TrainingSettings, train_network
from cryptml.training.evaluation.fidelity import simulate_evaluations
from cryptml.training.request import TrainingRequest
from cryptml.training.torch_settings import training_torch_settings

Fhe = Literal["disable", "simulate", "execute"]
FHE = ("disable", "simulate", "execute")
DEVIATIONS = 3.0
"""A table's column is cut off at so many deviations on either side of its mean."""


# scikit-learn has no types.
class EncryptedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Trains a network of integers, compiles all of it for the server, and answers in the clear, simulated or encrypted.

    Args:
        module: A network of Brevitas layers of one's own, whose weights training begins with: takes (batch, columns) of a table, or
            (batch, 1, side, side) of pictures, and gives a logit a class.
        network: A shipped architecture for pictures of its side, such as ``reference``. Of neither, a table gets one hidden layer.
        hidden: Neurons of that layer, one PBS each.
        epochs: Passes over the data.
        learning_rate: Of the training.
        seed: Of everything random.
        max_evaluate_ms: Most that an evaluation may take: a ``module`` is rounded and lowered until it fits (`cryptml.search.fitting`).
        as_is: Refuse a ``module`` that does not build, instead of rounding it.
        p_error: Probability that one programmable bootstrap fails.

    Attributes:
        classes_: (classes,) what was given as labels, sorted.
        network_: The integer program.
        bundle_: What a service would have of it, after `compile`.
    """

    def __init__(
        self,
        module: nn.Module | None = None,
        *,
        network: str | None = None,
        hidden: int = 16,
        epochs: int = 60,
        learning_rate: float = 1e-2,
        seed: int = 0,
        max_evaluate_ms: float | None = None,
        as_is: bool = False,
        p_error: float = DEFAULT_P_ERROR,
    ) -> None:
        self.module = module
        self.network = network
        self.hidden = hidden
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.seed = seed
        self.max_evaluate_ms = max_evaluate_ms
        self.as_is = as_is
        self.p_error = p_error

    @classmethod
    def from_module(cls, module: nn.Module, **options: Any) -> EncryptedClassifier:
        """Return a classifier of a network of one's own; options are those of the class."""
        return cls(module, **options)

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> EncryptedClassifier:  # noqa: N803
        """Train.

        Args:
            X: (n, columns) finite numbers, or (n, side, side) or (n, 1, side, side) in [0, 1].
            y: (n,) labels of at least two classes.
            groups: (n,) whose each row is, such as its patient; each counts by itself if None.

        Raises:
            CryptmlError: If the values do not fit, with what is wrong, or the network cannot be built.
        """
        values, labels = numbers(X), np.asarray(y)
        if labels.shape != (len(values),):
            raise SettingError(f"y has the shape {labels.shape} for {len(values)} rows of X; give one label a row")
        self.classes_, places = np.unique(labels, return_inverse=True)
        self.n_features_in_ = int(np.prod(values.shape[1:]))
        self._mean, self._deviation = np.zeros(0), np.ones(0)
        if values.ndim == 2:
            self._mean, self._deviation = values.mean(axis=0), values.std(axis=0)
        self._front_end = self._choose_front_end(values)
        data = self._dataset(values, places, None if groups is None else np.asarray(groups))
        settings = TrainingSettings(
            epochs=self.epochs, learning_rate=self.learning_rate, views=1, distil=False, keep="last", seed=self.seed
        )
        with training_torch_settings():
            architecture = self._architecture(data)
            trained = train_network(architecture, Examples.of(data, self._front_end), None, settings)
        self.network_: Network = replace(trained.network, name="classifier")
        self._asked: InProcess | None = None
        return self

    def compile(self) -> EncryptedClassifier:
        """Compile all layers for the server; keys are made at the first encrypted prediction.

        Raises:
            CircuitError: If the network does not compile, with layer and reason.
        """
        check_is_fitted(self, "network_")
        self._folder = tempfile.TemporaryDirectory(prefix="cryptml-")
        out = Path(self._folder.name) / "bundle"
        split = Split("S" * len(self.network_))
        settings = CompilerSettings(self.p_error)
        self.bundle_: ServerBundle = build_bundle(
            self.network_, split, out, backend=compile_integer_program, settings=settings
        )
        self._asked = InProcess(self.bundle_, ClientBundle.load(out / "client"))
        return self

    def predict(self, X: npt.ArrayLike, fhe: Fhe = "disable") -> npt.NDArray[Any]:  # noqa: N803
        """Return (n,) classes; see `predict_proba`."""
        chances = self.predict_proba(X, fhe)
        found: npt.NDArray[Any] = self.classes_[chances.argmax(axis=1)]
        return found

    def predict_proba(self, X: npt.ArrayLike, fhe: Fhe = "disable") -> FloatArray:  # noqa: N803
        """Return (n, classes) float32 probabilities.

        Args:
            X: As in `fit`.
            fhe: ``disable``: as integers in the clear; ``simulate``: with the noise that tables which round would have; ``execute``:
                encrypted, which `compile` has to come before.

        Raises:
            SettingError: If the values do not fit, or it was not compiled.
        """
        if fhe not in FHE:
            raise SettingError(f"fhe is {fhe!r}; give one of {', '.join(FHE)}")
        check_is_fitted(self, "network_")
        regions = self.regions(X)
        if fhe == "execute":
            if self._asked is None:
                raise SettingError("the classifier is not compiled; call compile() before fhe='execute'")
            return np.stack([self._asked.answer(region) for region in regions])
        values = self.network_.quantise(regions)
        if fhe == "simulate":
            return simulate_evaluations(self.network_, values, self.p_error)[0]
        return probabilities(self.network_.boundaries[-1].dequantise(self.network_.run(values)))

    def regions(self, X: npt.ArrayLike) -> FloatArray:  # noqa: N803
        """Return (n, side, side) float32 in [0, 1]: what a client asks a service about (`cryptml_client.Client.predict_region`).

        A table's columns are scaled by means and deviations of the rows that were fitted: clients have to know these.
        """
        check_is_fitted(self, "classes_")
        values = numbers(X)
        if int(np.prod(values.shape[1:])) != self.n_features_in_:
            raise SettingError(
                f"X has {int(np.prod(values.shape[1:]))} numbers a row where {self.n_features_in_} were fitted; give the same columns"
            )
        if not isinstance(self._front_end, Row):
            return values.reshape(-1, self._front_end.side, self._front_end.side).astype(np.float32)
        deviation = np.where(self._deviation > 0, self._deviation, 1.0)
        scaled = 0.5 + (values.reshape(len(values), -1) - self._mean) / deviation / (2 * DEVIATIONS)
        return self._front_end.fill(np.clip(scaled, 0, 1).astype(np.float32))

    def save(self, folder: Path | str) -> None:
        """Write the network into a new folder, for ``cryptml build`` and `split-profiler`."""
        check_is_fitted(self, "network_")
        save_network(self.network_, Path(folder), architecture=None)

    def _choose_front_end(self, values: npt.NDArray[np.float64]) -> FrontEnd:
        if self.module is not None and self.network is not None:
            raise SettingError("both module and network are given; give one of them")
        if self.network is not None:
            if self.network not in ARCHITECTURES:
                raise SettingError(f"network {self.network!r} is unknown; use one of {', '.join(ARCHITECTURES)}")
            front_end = ARCHITECTURES[self.network].front_end
            if values.ndim != 3 or values.shape[1] != front_end.side:
                raise SettingError(
                    f"network {self.network} takes pictures of {front_end.side} x {front_end.side}, and X has the shape {values.shape}"
                )
            return front_end
        if values.ndim == 2:
            return Row.of(values.shape[1])
        if self.module is None:
            raise SettingError(
                f"X holds pictures; give a module for {values.shape[1]} x {values.shape[2]} pixels, or a network of that side"
            )
        return Standardisation(values.shape[1])

    def _architecture(self, data: Dataset) -> Architecture:
        if self.network is not None:
            return ARCHITECTURES[self.network]
        if self.module is None:
            features, hidden = self._front_end.shape[0], self.hidden
            return Architecture(
                "table", self._front_end, lambda classes: negacyclic_head(features, hidden, classes, dropped=0.0)
            )
        own = architecture_of(self.module, self._front_end)
        request = TrainingRequest(
            data.name, own.spec, max_evaluate_ms=self.max_evaluate_ms, as_is=self.as_is, p_error=self.p_error
        )
        inputs = torch.from_numpy(self._front_end.apply(data.images[:SEEN]))
        return own.adjusted(fitted(own, data.classes, inputs, request, RECORDED, SilentListener()).adjustments)

    def _dataset(
        self, values: npt.NDArray[np.float64], places: npt.NDArray[np.int64], groups: npt.NDArray[Any] | None
    ) -> Dataset:
        names: Sequence[str] = [f"row {place}" for place in range(len(values))]
        if groups is not None:
            if groups.shape != (len(values),):
                raise SettingError(f"groups has the shape {groups.shape} for {len(values)} rows of X; give one a row")
            names = [str(each) for each in groups]
        return Dataset(
            name="X",
            images=self.regions(values),
            labels=places.astype(np.int64),
            patients=tuple(names),
            classes=tuple(str(each) for each in self.classes_),
            subsets=("train",) * len(values),
            patients_known=groups is not None,
            augmentation="none",
        )
