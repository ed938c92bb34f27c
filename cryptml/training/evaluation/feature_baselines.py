"""What plain methods make of the very values that a network reads, fitted anew in every fold of a cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from cryptml.datasets.base import Dataset
from cryptml.networks.boundary import FloatArray

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Values of scikit-learn's C for the logistic regression, of which inner folds choose."""

INNER_FOLDS = 4
"""Of a training part, per patient."""

COST = 1.0
"""Of the support vector machine: scikit-learn's C."""

REACH = 0.5
"""Of its Gaussian kernel ``exp(-REACH * |u - v|^2 / values)``."""

MOST_ROWS = 5000
"""Training pictures beyond which these methods take longer than a network."""

MOST_STEPS = 300
"""Of the regression's solver."""

Fitted = Callable[[FloatArray], FloatArray]


def fit_feature_baselines(rows: FloatArray, dataset: Dataset) -> dict[str, Fitted]:
    """Return a logistic regression and a support vector machine, by name: from (n, values) to probabilities (n, classes) float32.

    Values are brought to mean 0 and deviation 1 over the training part. Classes weigh the same, however rare. The regression's
    strength is that with the lowest cross-entropy in folds of the training part alone; the machine's settings are fixed.

    Args:
        rows: (n, values) float32, of the training part.
        dataset: Of the same n pictures; every class occurs.

    Returns:
        Nothing where there are more than `MOST_ROWS` pictures.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    if len(rows) > MOST_ROWS:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = regression(chosen_strength(rows, dataset)).fit(rows, dataset.labels)
    machine = make_pipeline(StandardScaler(), SVC(C=COST, gamma=REACH / rows.shape[1], class_weight="balanced"))
    machine.fit(rows, dataset.labels)
    return {
        "logistic regression on the same values": lambda given: _in_order(
            fitted.predict_proba(given), fitted.classes_, len(dataset.classes)
        ),
        "support vector machine on the same values": lambda given: _in_order(
            _softmax(machine.decision_function(given)), machine.classes_, len(dataset.classes)
        ),
    }


def regression(strength: float) -> Any:
    """Return an unfitted logistic regression behind a scaler, as a scikit-learn pipeline.

    Args:
        strength: The inverse of its regularisation, scikit-learn's C.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, class_weight="balanced", max_iter=MOST_STEPS))


def chosen_strength(rows: FloatArray, dataset: Dataset) -> float:
    """Return the strength with the lowest cross-entropy, every class weighing the same, over inner folds per patient."""
    folds = dataset.folds(min(INNER_FOLDS, len(set(dataset.patients))))
    weights = 1 / np.bincount(dataset.labels, minlength=len(dataset.classes))
    entropies = []
    for strength in STRENGTHS:
        total = 0.0
        for learned, judged in folds:
            model = regression(strength).fit(rows[learned], dataset.labels[learned])
            chances = _in_order(model.predict_proba(rows[judged]), model.classes_, len(dataset.classes))
            right = dataset.labels[judged]
            total -= float(weights[right] @ np.log(np.maximum(chances[np.arange(len(judged)), right], 1e-12)))
        entropies.append(total)
    return STRENGTHS[int(np.argmin(entropies))]


def _softmax(decisions: Any) -> Any:
    """Return (n, classes) for distances from boundaries, (n,) of two classes or (n, classes)."""
    rows = np.stack([-decisions, decisions], axis=1) if decisions.ndim == 1 else decisions
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _in_order(chances: Any, known: Any, classes: int) -> FloatArray:
    """Return (n, classes) float32, 0 for classes that were not learned."""
    found = np.zeros((len(chances), classes), np.float32)
    found[:, known] = chances
    return found
