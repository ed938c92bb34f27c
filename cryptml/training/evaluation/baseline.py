"""What a plain method makes of the same pictures, so that a user sees what a network is worth: logistic regression on pixels."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryptml.datasets.base import Dataset
from cryptml.errors import DatasetError
from cryptml.networks.boundary import FloatArray

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Values of scikit-learn's C, the inverse of the regularisation, of which the validation pictures choose; pixels have deviation 1."""

MOST_STEPS = 300
"""Of the solver."""

_LEAST_DEVIATION = 1e-6

MOST_SPANNED = 3000
"""Training pictures up to which the space that they span is looked for: that takes time with the cube of their number."""

Reals = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Baseline:
    """A fitted logistic regression.

    Attributes:
        strength: The chosen value of C.
        predict: Returns (n, classes) float32 for (n, side, side) pictures.
    """

    strength: float
    predict: Callable[[FloatArray], FloatArray]


def fit_baseline(dataset: Dataset, *, most_spanned: int = MOST_SPANNED) -> Baseline:
    """Fit a logistic regression to the training pictures of a data set.

    Every pixel is brought to mean 0 and deviation 1 over the training pictures. The regularisation (L2) with the lowest
    cross-entropy on the
    validation pictures is taken. Where pictures have more pixels than there are pictures, the regression is computed in the space that
    the training pictures span, where it has the same solution (Hastie, Tibshirani and Friedman, "The elements of
    statistical learning", 2009,
    section 18.3.5).

    Args:
        dataset: With the subsets ``train`` and ``validation``; every class is among the training pictures.
        most_spanned: Training pictures up to which that space is looked for.

    Raises:
        DatasetError: If a subset is empty, or a class is not among the training pictures.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    train, validation = dataset.subset("train"), dataset.subset("validation")
    missing = [name for label, name in enumerate(dataset.classes) if label not in train.labels]
    if missing:
        raise DatasetError(
            f"{dataset.name} has no training picture of {', '.join(missing)}; a regression needs every class"
        )
    rows = train.images.reshape(len(train), -1).astype(np.float64)
    mean, deviation = rows.mean(axis=0), np.maximum(rows.std(axis=0), _LEAST_DEVIATION)
    rows = (rows - mean) / deviation
    basis: Reals | None = None
    if rows.shape[0] < min(rows.shape[1], most_spanned):
        basis = np.linalg.svd(rows, full_matrices=False)[2].T

    def features(images: FloatArray) -> Reals:
        values = (images.reshape(len(images), -1).astype(np.float64) - mean) / deviation
        return values if basis is None else np.asarray(values @ basis)

    learned, judged = features(train.images), features(validation.images)
    best, lowest = None, math.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for strength in STRENGTHS:
            model = LogisticRegression(C=strength, max_iter=MOST_STEPS).fit(learned, train.labels)
            chances = model.predict_proba(judged)[np.arange(len(validation)), validation.labels]
            entropy = float(-np.log(np.maximum(chances, 1e-12)).mean())
            if entropy < lowest:
                best, lowest = (strength, model), entropy
    if best is None:
        raise DatasetError(f"no regression on {dataset.name} gives finite probabilities; look at its pictures")
    strength, chosen = best
    return Baseline(strength, lambda images: np.asarray(chosen.predict_proba(features(images)), np.float32))
